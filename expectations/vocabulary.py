"""Values that several of ION's datasets share."""

PERSONAS = ["Lua", "Elro", "Riri", "Nana"]

RESONANCE_KEY = (
    r"^(?:frustrated|playful|anxious|analytical|calm|curious|urgent|confused|collaborative)"
    r"-(?:burst|flowing|contemplative|medium)"
    r"-(?:seek_advice|problem_solving|learning|validation|planning|reflection)$"
)

UTC_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|\+00:00)$"
