#!/usr/bin/python3
"""Compares what each statement touched in all databases with statements.txt, and the databases with each other."""
import argparse
import collections
import dataclasses
import json
import pathlib
import re
import sys

LEVELS = 2  # blocks that a look-up may cost more in a larger tree: a level of its inner pages, and a page more beside
CATALOGUE = 300  # blocks that a program which has just connected may read of PostgreSQL's own tables …
CATALOGUE_VARIES = 50  # … more or less
RARELY = ', now and then'  # behind a heading's kind


@dataclasses.dataclass(eq=False)
class Entry:
    kind: str       # whenever it runs; None: that of the request
    blocks: dict
    look_ups: dict  # None: it grows
    fragment: str
    rare: bool      # not each run of the test has it


def in_one_line(text):
    """plpgsql's PERFORM becomes a SELECT: case does not count either."""
    return ' '.join(text.lower().split())


def amount_in(text):
    """`4 + 2 n + 3 s`: so many, and so many more a row and a scope."""
    factors = {'': 0.0, 'n': 0.0, 's': 0.0}
    for term in text.split('+'):
        number, unit = re.fullmatch(r'([\d.]+)\s*([ns]?)', term.strip()).groups()
        factors[unit] += float(number)
    return factors


def read_list(path):
    """The entries in their order; a heading `[kind]` says that its statements are of that kind whenever they run, and
    `[kind, now and then]` that they need not run at all."""
    entries, kind, rare = [], None, False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip()
        if not line or line.startswith('#'):
            continue
        if line.startswith('['):
            kind = None if line == '[requests]' else line.strip('[]').removesuffix(RARELY)
            rare = line.endswith(RARELY + ']')
            continue
        try:
            blocks, look_ups, fragment = (part.strip() for part in line.split('|', 2))
            entries.append(Entry(kind, amount_in(blocks), None if look_ups == 'GROWS' else amount_in(look_ups),
                                 in_one_line(fragment), rare))
        except (ValueError, AttributeError):
            sys.exit(f'{path}:{number}: not "BLOCKS | LOOK-UPS | FRAGMENT"')
    return entries


class Cost:
    """Of one statement and kind of request in one database."""

    def __init__(self):
        self.calls = self.rows = self.blocks = self.size = self.scopes = 0
        self.fresh = False

    def add(self, figure):
        self.calls += figure['calls']
        self.rows += figure['rows']
        self.blocks += figure['blocks']
        self.size = max(self.size, figure['size'])
        self.scopes = max(self.scopes, figure['scopes'])
        self.fresh = self.fresh or figure['fresh']

    @property
    def per_call(self):
        return self.blocks / self.calls

    def times(self, amount):
        """An amount of the list, for as many rows and scopes as a call is about."""
        return amount[''] + amount['n'] * max(self.size, self.rows / self.calls) + amount['s'] * self.scopes


def read_costs(paths, entries):
    """By statement, by kind, by database; the statements that no entry names; and the requests that failed."""
    costs = collections.defaultdict(lambda: collections.defaultdict(lambda: collections.defaultdict(Cost)))
    unknown = collections.defaultdict(lambda: collections.defaultdict(lambda: collections.defaultdict(Cost)))
    failed = []
    for path in paths:
        for line in path.read_text().splitlines():
            figure = json.loads(line)
            if 'failed' in figure:
                failed.append(f'REQUEST FAILED in {path.stem}: {figure["failed"]}')
                continue
            text = in_one_line(figure['query'])
            entry = next((entry for entry in entries if entry.fragment in text), None)
            if entry:
                kind = figure['kind']
                if entry.kind and not figure['fresh']:
                    kind, figure['size'], figure['scopes'] = entry.kind, 0, 0
                costs[entry][kind][path.stem].add(figure)
            elif figure['blocks']:
                unknown[text][figure['kind']][path.stem].add(figure)
    return costs, unknown, failed


def row_of(kind, statement, databases, bound, problem=''):
    calls = max(cost.calls for cost in databases.values())
    rows = max(cost.rows for cost in databases.values())
    figures = '  '.join(f'{name} {databases[name].per_call:.1f}' for name in sorted(databases))
    return f'{problem}{kind}: {statement}\n      {calls} calls, {rows} rows; blocks a call: {figures}; {bound}'


def judge(entry, databases):
    """What is wrong with it, or nothing."""
    least = min(cost.per_call for cost in databases.values())
    for name, cost in sorted(databases.items()):
        most = cost.times(entry.blocks) + CATALOGUE * cost.fresh
        if cost.per_call > most:
            return f'TOO MUCH in {name}, at most {most:.0f}'
        if not entry.look_ups:
            continue
        slack = LEVELS * cost.times(entry.look_ups) + CATALOGUE_VARIES * cost.fresh
        if cost.per_call > least + slack:
            return f'GROWS in {name}, at most {slack:.0f} more than the least'
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--figures', action='store_true', help='print what each statement touched')
    parser.add_argument('list', type=pathlib.Path)
    parser.add_argument('measured', type=pathlib.Path, nargs='+')
    options = parser.parse_args()
    entries = read_list(options.list)
    costs, unknown, failed = read_costs(options.measured, entries)
    failures = list(failed)
    for entry in entries:
        if entry not in costs and not entry.rare and not failed:
            failures.append(f'NO LONGER RUN by any request: {entry.fragment}')
        for kind, databases in costs[entry].items():
            problem = judge(entry, databases)
            bound = problem or 'as it should be'
            text = row_of(kind, entry.fragment, databases, bound)
            if problem:
                failures.append(text)
            if options.figures:
                print(text)
    for statement, kinds in unknown.items():
        for kind, databases in kinds.items():
            failures.append(row_of(kind, statement, databases, 'NOT IN THE LIST'))
    for failure in failures:
        print(failure)
    listed = len(entries)
    print(f'{listed} statements, {sum(map(len, costs.values()))} kinds of use in {len(options.measured)} databases, '
          f'{len(failures)} failures')
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()
