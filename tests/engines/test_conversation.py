"""Memory, prompt budget, and texts that come from an API or from a template."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.conversation.memory import TOKEN_BUDGET, WINDOW, Turn, context_of, remember, summarize, tokens_of
from engines.conversation.text_source import TextApi, TextSource, template
from engines.personas import Persona

pytestmark = pytest.mark.phase4

EMPTY = context_of((), "hello")


def turns(count, length=20):
    return [Turn(n, f"question {n} " + "x" * length, f"answer {n} " + "y" * length) for n in range(1, count + 1)]


def test_the_window_holds_the_last_five_turns_and_the_rest_is_summarized():
    context = context_of(turns(8), "and now?")
    assert [turn.number for turn in context.turns] == [4, 5, 6, 7, 8]
    assert "question 3" in context.summary
    assert "question 4" not in context.summary


@given(st.integers(0, 10), st.integers(0, 8000))
def test_a_prompt_is_never_above_its_budget(count, length):
    context = context_of(turns(count, length), "message")
    used = tokens_of(context.summary) + sum(
        tokens_of(t.user_message) + tokens_of(t.response_text) for t in context.turns
    )
    assert len(context.turns) <= WINDOW
    assert used + tokens_of("message") <= TOKEN_BUDGET


def test_a_summary_keeps_the_newest_and_says_nothing_twice():
    same = [Turn(n, "the same", "reply") for n in range(10)]
    assert summarize(same).count("the same") == 1
    assert "question 9" in summarize(turns(9))


def test_memory_collects_topics_entities_and_the_last_wish():
    memory = remember(["I use Python with Anna", "Please be brief", "No, in detail please"])
    assert memory.entities["technology"] == ("Python",)
    assert memory.entities["person"] == ("Anna",)
    assert memory.preferences["answer_length"] == "detailed"
    assert "python" in memory.topics


def test_what_is_said_to_be_used_is_what_is_used():
    context = context_of(turns(2), "Tell me about PostgreSQL")
    assert "PostgreSQL" in str(context.used)
    assert "Turns: 2." in str(context.used)


def test_templates_depend_on_persona_message_and_what_was_said():
    texts = {template(persona, EMPTY, "hello") for persona in Persona}
    assert len(texts) == 4
    later = context_of([Turn(1, "I worry about kubernetes", "yes")], "and backups?")
    assert "kubernetes" in template(Persona.LUA, later, "and backups?")


class Handler(BaseHTTPRequestHandler):
    status, body, calls = 200, b"", 0

    def do_POST(self):
        Handler.calls += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(Handler.status)
        self.send_header("Content-Length", str(len(Handler.body)))
        self.end_headers()
        self.wfile.write(Handler.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    Handler.status, Handler.calls = 200, 0
    Handler.body = json.dumps({"choices": [{"message": {"content": "from the API"}}]}).encode()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(url, times=1):
    async def run():
        source = TextSource(TextApi(url) if url else None)
        try:
            return [await source.answer(Persona.ELRO, EMPTY, "hello") for _ in range(times)]
        finally:
            await source.close()

    return asyncio.run(run())


def test_the_api_answers_while_it_works(api):
    assert ask(api)[0].text == "from the API"
    assert ask(api)[0].source == "api"


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (200, b"no json"), (200, b"{}"), (200, b'{"choices": [{"message": {"content": ""}}]}')],
)
def test_a_useless_answer_falls_back_to_a_template(api, status, body):
    Handler.status, Handler.body = status, body
    answer = ask(api)[0]
    assert answer.source == "template"
    assert answer.text


def test_after_five_failures_the_api_is_left_alone(api):
    Handler.status = 500
    assert {answer.source for answer in ask(api, 8)} == {"template"}
    assert Handler.calls == 10  # five answers of two attempts each, then none


def test_no_api_is_a_template_at_once():
    assert ask(None)[0].source == "template"
