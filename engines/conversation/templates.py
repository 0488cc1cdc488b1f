"""Texts made without a model, in the manner of a persona, from the message and from what was said before."""

from engines.conversation.memory import Context, Used
from engines.personas import Persona
from engines.text_reading import read_topics

_TEMPLATES = {
    Persona.LUA: "That sounds like it matters to you. Let us stay with {topic} for a moment: {thought} "
    "What would make the next step feel lighter?",
    Persona.ELRO: "1. What we know: {topic}. 2. {thought} 3. Try the smallest change that could work, and check it. "
    "Mind what depends on it.",
    Persona.RIRI: "Data: you asked about {topic}. Pattern: {thought} Recommendation: measure it before and after, "
    "and decide by the difference.",
    Persona.NANA: "Situation: {topic}. {thought} Plan: agree on who does what by when, and tell everyone who is "
    "affected.",
}
_SHORT_TEMPLATES = {
    Persona.LUA: "Let us stay with {topic}: {thought}",
    Persona.ELRO: "About {topic}: {thought} Try the smallest change, and check it.",
    Persona.RIRI: "Data on {topic}: {thought} Measure before and after.",
    Persona.NANA: "Situation: {topic}. {thought} Agree on who does what by when.",
}
_MOST_NAMED = 2


def write(persona: Persona, context: Context, message: str) -> tuple[str, Used]:
    """A text, and what of the context it used: earlier topics and entities, the wish for short answers, and a like."""
    memory = context.memory
    now = read_topics(message)
    earlier = tuple(topic for topic in memory.topics if topic not in now)[-_MOST_NAMED:]
    entities = tuple(name for names in memory.entities.values() for name in names)[-_MOST_NAMED:]
    likes = tuple(memory.preferences.get("likes", ()))[-1:]
    short = memory.preferences.get("answer_length") == "short"
    thought = f"earlier you spoke of {', '.join(earlier)}." if earlier else "this is where we begin."
    if entities:
        thought += f" You named {', '.join(entities)}."
    if likes and not short:
        thought += f" You like {likes[0]}."
    templates = _SHORT_TEMPLATES if short else _TEMPLATES
    text = templates[persona].format(topic=", ".join(now) or "what you wrote", thought=thought)
    wishes = ("answer_length: short",) if short else tuple(f"likes: {like}" for like in likes)
    known = tuple(topic for topic in now if topic in memory.topics)
    return text, Used((*earlier, *known), entities, wishes)


def template(persona: Persona, context: Context, message: str) -> str:
    """The text alone."""
    return write(persona, context, message)[0]
