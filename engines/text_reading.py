"""What can be read out of a message without a model: its resonance key, entities, topics and preferences."""

import re
from collections import Counter
from collections.abc import Iterable

from engines.resonance_key import Intent, Pace, ResonanceKey, Tone

_TONE_STEMS: tuple[tuple[Tone, str], ...] = (
    (Tone.URGENT, r"urgent|asap|immediately|right now|emergency|today|deadline"),
    (Tone.FRUSTRATED, r"frustrat|annoy|stuck|fed up|again and again|hate|useless|keeps? failing"),
    (Tone.ANXIOUS, r"anxious|worr|afraid|nervous|scared|panic|overwhelm"),
    (Tone.CONFUSED, r"confus|don'?t understand|unclear|lost|no idea|makes no sense"),
    (Tone.COLLABORATIVE, r"together|our team|we (?:need|should|want)|collaborat|colleague"),
    (Tone.PLAYFUL, r"haha|lol|fun|joke|silly|play"),
    (Tone.ANALYTICAL, r"analy|data|metric|measure|compare|evidence|statistic"),
    (Tone.CURIOUS, r"curious|wonder|interest|how does|why (?:is|does|do)|what if"),
)
_INTENT_STEMS: tuple[tuple[Intent, str], ...] = (
    (Intent.PROBLEM_SOLVING, r"fix|solve|bug|error|broken|fail|problem|debug|not working"),
    (Intent.PLANNING, r"plan|schedule|roadmap|organi[sz]e|next steps|milestone|prioriti"),
    (Intent.VALIDATION, r"review|is (?:this|it) (?:right|ok|good|correct)|check my|validate|confirm|feedback on"),
    (Intent.REFLECTION, r"reflect|look(?:ing)? back|think about|meaning|regret|realis|realiz"),
    (Intent.SEEK_ADVICE, r"advice|should i|recommend|suggest|what would you|help me (?:decide|choose)"),
    (Intent.LEARNING, r"learn|explain|understand|teach|how (?:do|does|can)|what is"),
)
_TONES = tuple((tone, re.compile(rf"\b(?:{stems})", re.IGNORECASE)) for tone, stems in _TONE_STEMS)
_INTENTS = tuple((intent, re.compile(rf"\b(?:{stems})", re.IGNORECASE)) for intent, stems in _INTENT_STEMS)

_ENTITIES: dict[str, re.Pattern[str]] = {
    "technology": re.compile(
        r"\b(?:Python|Java|JavaScript|TypeScript|Rust|Go|SQL|PostgreSQL|SQLite|Redis|Kafka|Docker|Kubernetes|Linux|"
        r"React|Django|FastAPI|Prometheus|Grafana|Git|AWS|GCP|Azure)\b"
    ),
    "person": re.compile(r"\b(?:with|by|from|ask|told|tell|Mr\.?|Ms\.?|Dr\.?) ([A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})?)\b"),
    "time": re.compile(
        r"\b(?:\d{4}-\d{2}-\d{2}|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|tomorrow|today|next (?:week|month|year))\b",
        re.IGNORECASE,
    ),
    "quantity": re.compile(r"\b\d+(?:\.\d+)? ?(?:%|ms|s|MB|GB|days?|weeks?|hours?|people|users?)(?!\w)"),
}
_LIKES = re.compile(r"\bI (?:prefer|like|love|enjoy) ([^.,;!?]{2,60})", re.IGNORECASE)
_DISLIKES = re.compile(r"\bI (?:dislike|hate|don'?t like|do not like) ([^.,;!?]{2,60})", re.IGNORECASE)
_SHORT = re.compile(r"\b(?:short(?:er)?|brief(?:ly)?|concise)\b", re.IGNORECASE)
_LONG = re.compile(r"\b(?:in detail|detailed|thorough|step by step)\b", re.IGNORECASE)

_WORD = re.compile(r"[^\W\d_]{4,}")
_STOP_WORDS = frozenset(
    """
    about above after again against also although always another because been before being below between both
    cannot come could does doing done down during each either else enough even every everyone everything feel find
    from further give going good great have having hello help here hers him his how into just keep know knows last
    less like little long look looking made make making many maybe mean more most much must need never next nothing
    often once only other ours over people perhaps please prefer quite rather really right same seem shall should
    show since some someone something sometimes soon still such take tell than thank thanks that their them then
    there these they thing things think this those though through today together told tomorrow under until very
    want wants well went were what when where whether which while will with within without work working would
    yesterday your yours
    """.split()  # noqa: SIM905 - a list of ninety strings reads worse
)


def read_key(text: str) -> ResonanceKey:
    """The key that a text seems to have: word stems give tone and intent, the length of sentences the pace.

    Nothing telling gives calm and learning. Sentences of fewer than 4 words on average are a burst, of 10 and more
    contemplative; with 7 and more the text flows.
    """
    tone = next((tone for tone, pattern in _TONES if pattern.search(text)), Tone.CALM)
    intent = next((intent for intent, pattern in _INTENTS if pattern.search(text)), Intent.LEARNING)
    return ResonanceKey(tone, _pace(text), intent)


def _pace(text: str) -> Pace:
    sentences = [sentence for sentence in re.split(r"[.!?]+", text) if sentence.strip()]
    words_a_sentence = len(text.split()) / max(1, len(sentences))
    if words_a_sentence < 4:
        return Pace.BURST
    if words_a_sentence >= 10:
        return Pace.CONTEMPLATIVE
    return Pace.FLOWING if words_a_sentence >= 7 else Pace.MEDIUM


def read_entities(text: str) -> dict[str, list[str]]:
    """Named things by category (technology, person, time, quantity), each once, in the order of the text."""
    found: dict[str, list[str]] = {}
    for category, pattern in _ENTITIES.items():
        names = dict.fromkeys(match.group(match.lastindex or 0) for match in pattern.finditer(text))
        if names:
            found[category] = list(names)
    return found


def read_topics(text: str, at_most: int = 3) -> list[str]:
    """The words that a text is about: the most frequent, longest ones that are no stop words, in lower case."""
    times = Counter(word for word in map(str.lower, _WORD.findall(text)) if word not in _STOP_WORDS)
    # Of equals the first of the text is the first here: both a Counter and sorting keep their order.
    return sorted(times, key=lambda word: (-times[word], -len(word)))[:at_most]


def read_preferences(text: str) -> dict[str, str | list[str]]:
    """Wishes that a text states: ``likes``, ``dislikes`` and ``answer_length`` (short or detailed)."""
    found: dict[str, str | list[str]] = {}
    if likes := _matches(_LIKES.findall(text)):
        found["likes"] = likes
    if dislikes := _matches(_DISLIKES.findall(text)):
        found["dislikes"] = dislikes
    if _SHORT.search(text):
        found["answer_length"] = "short"
    elif _LONG.search(text):
        found["answer_length"] = "detailed"
    return found


def _matches(matches: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(" ".join(match.split()).lower() for match in matches))
