"""How well each persona suits each tone, pace and intent: 76 values from 0 to 1, columns Lua, Elro, Riri, Nana."""

from engines.resonance_key import Intent, Pace, Tone

Row = tuple[float, float, float, float]

TONE_AFFINITIES: dict[Tone, Row] = {
    Tone.FRUSTRATED: (1.0, 0.4, 0.6, 0.5),
    Tone.PLAYFUL: (1.0, 0.3, 0.4, 0.7),
    Tone.ANXIOUS: (1.0, 0.5, 0.6, 0.7),
    Tone.ANALYTICAL: (0.3, 1.0, 1.0, 0.5),
    Tone.CALM: (0.6, 1.0, 1.0, 0.7),
    Tone.CURIOUS: (0.7, 1.0, 0.9, 0.8),
    Tone.URGENT: (0.5, 0.8, 0.6, 1.0),
    Tone.CONFUSED: (0.8, 0.6, 0.7, 1.0),
    Tone.COLLABORATIVE: (0.6, 0.5, 0.7, 1.0),
}
PACE_AFFINITIES: dict[Pace, Row] = {
    Pace.BURST: (1.0, 0.4, 0.5, 0.6),
    Pace.FLOWING: (1.0, 0.8, 0.9, 0.9),
    Pace.CONTEMPLATIVE: (0.9, 0.7, 1.0, 0.8),
    Pace.MEDIUM: (0.8, 1.0, 1.0, 1.0),
}
INTENT_AFFINITIES: dict[Intent, Row] = {
    Intent.SEEK_ADVICE: (1.0, 0.6, 0.7, 0.8),
    Intent.PROBLEM_SOLVING: (0.7, 1.0, 0.9, 0.8),
    Intent.LEARNING: (0.6, 1.0, 0.9, 0.7),
    Intent.VALIDATION: (0.8, 0.7, 1.0, 0.9),
    Intent.PLANNING: (0.5, 0.8, 0.9, 1.0),
    Intent.REFLECTION: (1.0, 0.4, 0.7, 0.6),
}
