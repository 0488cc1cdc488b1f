"""What the project claims about its own speed and accuracy, measured. Each prints its numbers, and exits with 3 when
its claim does not hold.
"""
