#!/usr/bin/python3
"""Draws what ./dev bench curve measured: each kind's figure, as a ratio to the plain transaction, over the records.

usage: plot.py FIGURES.csv PLOT.svg     (columns records, kind, figure, of_plain)
"""
import csv
import math
import sys

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 210, 50, 50
NAMES = {
    'push200': 'push of 200, changes',
    'pull_nothing': 'pull that finds nothing',
    'push1': 'push of 1',
    'page_insert': 'page of 1,000 inserts',
    'page_update': 'page of 1,000 updates',
}
COLOURS = ['#b4441c', '#2b6f9e', '#3c7d3f', '#7a4b94', '#8a7413']


def read(path):
    curves = {}
    with open(path, newline='', encoding='utf-8') as file:
        for row in csv.DictReader(file):
            if row['kind'] in NAMES:
                curves.setdefault(row['kind'], []).append((int(row['records']), float(row['of_plain'])))
    return curves


class Scale:
    """A logarithmic axis, from the power of ten below all values to the one above."""

    def __init__(self, values, low, high):
        self.first = math.floor(math.log10(min(values)))
        self.last = max(math.ceil(math.log10(max(values))), self.first + 1)
        self.low, self.high = low, high

    def at(self, value):
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return self.low + share * (self.high - self.low)

    def powers(self):
        return [10 ** power for power in range(self.first, self.last + 1)]


def text(x, y, words, anchor='start', size=12, colour='#333'):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{words}</text>'


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def spread(places, gap=16):
    """Moves labels down until none lies on another."""
    placed = {}
    lowest = -math.inf
    for name, y in sorted(places.items(), key=lambda place: place[1]):
        lowest = placed[name] = max(y, lowest + gap)
    return placed


def draw(curves):
    points = [point for curve in curves.values() for point in curve]
    x = Scale([records for records, _ in points], LEFT, WIDTH - RIGHT)
    y = Scale([ratio for _, ratio in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        text(LEFT, 26, 'A second of each, divided by plain transactions a second', size=15),
        text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, 'records in the database', 'middle'),
    ]
    for power in x.powers():
        parts += [line(x.at(power), TOP, x.at(power), HEIGHT - BOTTOM),
                  text(x.at(power), HEIGHT - BOTTOM + 18, f'{power:,}', 'middle')]
    for power in y.powers():
        parts += [line(LEFT, y.at(power), WIDTH - RIGHT, y.at(power)),
                  text(LEFT - 8, y.at(power) + 4, f'{power:g}', 'end')]
    labels = spread({name: y.at(curve[-1][1]) for name, curve in curves.items()})
    for (name, curve), colour in zip(curves.items(), COLOURS):
        path = ' '.join(f'{x.at(records):.1f},{y.at(ratio):.1f}' for records, ratio in curve)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x.at(records):.1f}" cy="{y.at(ratio):.1f}" r="3" fill="{colour}"/>'
                  for records, ratio in curve]
        parts.append(text(WIDTH - RIGHT + 12, labels[name] + 4, f'{NAMES[name]}: {curve[-1][1]:.2g}', colour=colour))
    return '\n'.join(parts + ['</svg>']) + '\n'


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[2], 'w', encoding='utf-8') as file:
        file.write(draw(read(sys.argv[1])))


main()
