"""Tell people of a change: by the plan's ``notify`` URLs, which Apprise knows how to reach."""

from collections.abc import Sequence


def notify(urls: Sequence[str], title: str, body: str) -> str | None:
    """Send one message to all URLs; returns why that failed (without URLs: they hold secrets); None: it was sent."""
    if not urls:
        return None
    try:
        from apprise import Apprise  # comes with Prefect, and is slow to import
    except ImportError:
        return "Apprise is not installed"
    service = Apprise()
    wrong = sum(not service.add(url) for url in urls)
    if wrong:
        return f"{wrong} of {len(urls)} URLs of notify are none that Apprise knows"
    return None if service.notify(title=title, body=body) else "a service did not take the message"
