"""A QR code of half blocks, drawn for a light background, as a picture: standard input to standard output (PGM).

Lines before the code are left out. Each half block is a square of SCALE pixels.
"""

import sys

SCALE = 4
BLOCKS = {" ": (255, 255), "█": (0, 0), "▀": (0, 255), "▄": (255, 0)}

lines = [line.rstrip("\n") for line in sys.stdin]
first = next(i for i, line in enumerate(lines) if line and set(line) <= set(BLOCKS))
code = lines[first:]
width = max(len(line) for line in code)
rows = []
for line in code:
    cells = [BLOCKS[c] for c in line.ljust(width)]
    for half in (0, 1):
        row = bytes(value for cell in cells for value in [cell[half]] * SCALE)
        rows += [row] * SCALE
sys.stdout.buffer.write(b"P5 %d %d 255\n" % (width * SCALE, len(rows)) + b"".join(rows))
