#!/usr/bin/python3
"""Makes every kind of request on the programs that run on one database, and writes down what each statement of theirs
touched: a line of JSON for each kind and statement. pg_stat_statements counts; statements of the superuser, by whom all
is set up, are left out. Each wait has a limit and a name."""
import argparse
import datetime
import http.client
import json
import os
import shlex
import subprocess
import time
import urllib.parse
import urllib.request

PATIENCE = 30  # seconds, for any one wait
RUN_TAKES_AT_MOST = 45  # seconds, after which no more requests are made
APP = 'todo'
LONG_AGO = '2020-01-01T00:00:00.000Z'
# The statements of a kind are those that ended since the figures were last taken.
FIGURES = """
select coalesce(json_agg(json_build_object('query', query, 'calls', calls, 'rows', rows, 'blocks', blocks)), '[]')
from (select query, sum(calls) as calls, sum(rows) as rows, sum(shared_blks_hit + shared_blks_read) as blocks
      from pg_stat_statements
      where dbid = (select oid from pg_database where datname = '{database}')
        and userid <> (select oid from pg_roles where rolname = current_user)
      group by query) as counted;
select pg_stat_statements_reset(0, (select oid from pg_database where datname = '{database}'), 0);
"""
KINDS = []


class Failed(Exception):
    """A request that was not answered as it should be."""


def utc(digits):
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec=digits).replace('+00:00', 'Z')


def now():
    return utc('milliseconds')


def cursor():
    """Of who has seen everything. Without the six digits, a cursor is read ten seconds earlier."""
    return utc('microseconds')


def await_that(condition, what):
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise Failed(f'after {PATIENCE} s there is still no sign of {what}')
        time.sleep(0.1)


class Psql:
    """A session, which is asked one thing after the other."""

    def __init__(self, url):
        self.program = subprocess.Popen(['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', url], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, sql):
        self.program.stdin.write(f'set statement_timeout = {PATIENCE * 1000};\n{sql};\n\\echo that is all\n')
        lines = []
        for line in self.program.stdout:
            if line == 'that is all\n':
                return lines
            lines.append(line.rstrip('\n'))
        raise Failed('psql ended')


class Stack:
    """What runs on one database: its front, where tokens come from, its database as the superuser sees it."""

    def __init__(self, options):
        self.port, self.identity = options.port, options.identity
        self.tokens = {}

        def session(database):
            return Psql(urllib.parse.urlsplit(options.superuser)._replace(path='/' + database).geturl())
        self.statistics, self.data = session('postgres'), session(options.database)
        self.ask_figures = FIGURES.format(database=options.database)

    def sql(self, text):
        return self.data.ask(text)

    def figures(self):
        return json.loads(self.statistics.ask(self.ask_figures)[0])

    def token(self, user):
        if user not in self.tokens:
            query = urllib.parse.urlencode({'user': user})
            with urllib.request.urlopen(f'{self.identity}/token?{query}', timeout=PATIENCE) as answer:
                self.tokens[user] = answer.read().decode()
        return self.tokens[user]

    def tell_memberships(self, run):
        """What the fill says of spaces, for whoever asks the service."""
        spaces = {'member': ['club'], 'joiner': ['joined'], 'many': [f'small{i}' for i in range(1, 21)]}
        lists = {f'{run}-{user}': [{'organizationId': f'{run}-{space}', 'role': 'member'} for space in names]
                 for user, names in spaces.items()}
        body = json.dumps({'memberships': lists}).encode()
        urllib.request.urlopen(self.identity + '/control', body, timeout=PATIENCE).close()

    def begin(self, user, client, method, path, body=None):
        """Sends a request; what is returned waits for the answer, whose body is still to be read."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=PATIENCE)
        headers = {'Authorization': 'Bearer ' + self.token(user), 'X-Client-Id': client}
        connection.request(method, path, json.dumps(body) if body else None, headers)

        def answer_of():
            answer = connection.getresponse()
            if answer.status != 200:
                raise Failed(f'{method} {path} of {user}: {answer.status} {answer.read().decode()}')
            return answer
        return answer_of

    def push(self, user, client, changes, since=None):
        body = {'clientId': client, 'since': since or cursor(), 'changes': changes}
        answer = json.load(self.begin(user, client, 'POST', f'/sync/{APP}', body)())
        if answer.get('rejected'):
            raise Failed(f'of a push of {user} was rejected: {answer["rejected"]}')

    def pull(self, user, client, since, **more):
        query = urllib.parse.urlencode({'collection': 'tasks', 'since': since, **more})
        return json.load(self.begin(user, client, 'GET', f'/sync/{APP}/pull?{query}')())

    def begin_stream(self, user, since, **more):
        query = urllib.parse.urlencode({'since': since, **more})
        return self.begin(user, 'tablet', 'GET', f'/sync/{APP}/stream?{query}')

    @staticmethod
    def await_changes(stream, wanted):
        seen = 0
        while seen < wanted:
            line = stream.readline()
            if not line or line.startswith(b': '):
                raise Failed(f'a stream ended after {seen} of {wanted} changes: {line.decode()}')
            if line.startswith(b'data: {"table"'):
                seen += len(json.loads(line[6:])['changes'])
        stream.close()

    @staticmethod
    def admin(*arguments):
        subprocess.run([os.environ['MANA_TEST_ADMIN_PROGRAM'], '--sql-dir', 'sql', *arguments], check=True,
                       stdout=subprocess.DEVNULL, timeout=PATIENCE)


def insert(record, **more):
    return {'table': 'tasks', 'id': record, 'op': 'insert', 'data': {'title': record, 'updatedAt': now()}, **more}


def update(record, at=None, field='title', **more):
    return {'table': 'tasks', 'id': record, 'op': 'update', 'fields': {field: {'value': at, 'at': at or now()}}, **more}


def kind(rows, scopes=1, fresh=False):
    """A method makes requests of one kind, which its name tells. `rows`: how many each of them is about; `scopes`: that it
    reads; `fresh`: by a program that has just connected, and reads the catalogue as well."""
    def register(method):
        KINDS.append({'kind': method.__name__.replace('_', ' '), 'size': rows, 'scopes': scopes, 'fresh': fresh,
                      'make': method})
        return method
    return register


class Requests:
    """On one stack, by the users that the fill made for one run."""

    def __init__(self, stack, run, most):
        self.stack, self.run, self.most = stack, run, most
        # Records that the fill made, of the table tasks; everybody has one of the first name.
        self.held = ['settings'] + [f'r{3 * i}' for i in range(2, 18)]

    def user(self, name):
        return f'{self.run}-{name}'

    def rows(self, wanted):
        """The fill made fewer for the users that warm up."""
        return min(wanted, self.most)

    def push(self, user, *changes):
        self.stack.push(self.user(user), 'phone', list(changes))

    def pull(self, user, client, since, **more):
        return self.stack.pull(self.user(user), client, since, **more)

    def pull_rows(self, rows, user, client, since, **more):
        found = len(self.pull(user, client, since, **more)['serverChanges'])
        if found != rows:
            raise Failed(f'a pull of {self.user(user)} brought {found} changes, not {rows}')

    @kind(rows=1)
    def a_push_of_one_new_record(self):
        for i in range(4):
            self.push('writer', insert(f'new{i}'))

    @kind(rows=1)
    def a_push_to_a_held_record(self):
        for record in self.held[0:4]:
            self.push('writer', update(record))

    @kind(rows=1)
    def a_push_that_loses(self):
        for record in self.held[0:4]:
            self.push('writer', update(record, LONG_AGO))

    @kind(rows=1)
    def a_push_of_a_hard_delete(self):
        for record in self.held[4:8]:
            self.push('writer', {'table': 'tasks', 'id': record, 'op': 'delete'})

    @kind(rows=1)
    def a_push_of_a_soft_delete(self):
        for record in self.held[8:12]:
            self.push('writer', update(record, now(), 'deletedAt'))

    @kind(rows=200)
    def a_push_of_200_new_records(self):
        self.push('writer', *(insert(f'bulk{i}') for i in range(200)))

    @kind(rows=200)
    def a_push_of_200_updates(self):
        self.push('writer', *(update(f'bulk{i}') for i in range(200)))

    @kind(rows=1000)
    def a_push_of_who_is_behind(self):
        self.stack.push(self.user('writer'), 'tablet', [insert('late')], LONG_AGO)

    @kind(rows=1)
    def a_push_of_a_user_nobody_knows(self):
        for i in range(4):
            self.push(f'new{i}', insert('first'))

    @kind(rows=10)
    def a_push_of_who_has_rows_from_before(self):
        user = self.user('elder')
        self.stack.sql(f"""
            insert into sync_changes (app_id, table_name, record_id, user_id, op, data, client_id, created_at, keeps_position)
            select '{APP}', 'tasks', 'old' || row, '{user}', 'insert', '{{"title":"old"}}'::jsonb, 'phone',
                   now() - interval '1 day' + row * interval '1 hour', true from generate_series(1, 10) as row;
            insert into sync_old_rows values ('{user}', '{APP}')""")
        self.push('elder', insert('first'))

    @kind(rows=0)
    def a_pull_that_finds_nothing(self):
        for _ in range(4):
            self.pull_rows(0, 'reader', 'phone', cursor())

    @kind(rows=1000)
    def a_page_of_1000_for_another_client(self):
        self.pull_rows(self.rows(1000), 'reader', 'tablet', LONG_AGO)

    @kind(rows=1000)
    def a_page_of_1000_with_own(self):
        self.pull_rows(self.rows(1000), 'reader', 'phone', LONG_AGO, includeOwn='true')

    @kind(rows=1200)
    def a_page_that_leaves_own_out(self):
        self.pull_rows(self.rows(1200) // 2, 'reader', 'phone', LONG_AGO)

    @kind(rows=1000)
    def a_first_pull(self):
        self.pull_rows(self.rows(1000), 'reader', 'tablet', '1970-01-01T00:00:00.000Z')

    @kind(rows=200, scopes=3)
    def a_pull_of_a_member(self):
        self.pull('member', 'tablet', LONG_AGO)

    @kind(rows=2, scopes=3)
    def a_push_of_a_member(self):
        space = self.user('club')
        for record in self.held[0:4]:
            self.push('member', update(record, spaceId=space), insert('in' + record, spaceId=space))

    @kind(rows=500, scopes=21)
    def a_pull_in_20_spaces(self):
        self.pull('many', 'tablet', LONG_AGO)

    @kind(rows=0, scopes=21)
    def a_pull_in_20_spaces_that_finds_nothing(self):
        for _ in range(4):
            self.pull_rows(0, 'many', 'tablet', cursor())

    @kind(rows=1, scopes=21)
    def a_push_in_20_spaces(self):
        for i in range(1, 5):
            self.push('many', insert(f'many{i}', spaceId=self.user(f'small{i}')))

    @kind(rows=1000, scopes=3)
    def the_joining_of_a_space(self):
        since, more = LONG_AGO, True
        while more:
            answer = self.pull('joiner', 'tablet', since)
            since, more = answer['syncedUntil'], answer.get('hasMore')

    @kind(rows=200)
    def the_backlog_of_a_stream(self):
        # All at once, so that each of the hub's connections for pages has its part.
        begun = [self.stack.begin_stream(self.user('streamer'), LONG_AGO, collections='tasks,lists') for _ in range(12)]
        for stream in begun:
            self.stack.await_changes(stream(), self.rows(300) * 2 // 3 - 4)

    @kind(rows=1)
    def a_live_change_of_a_stream(self):
        for i in range(4):
            stream = self.stack.begin_stream(self.user('streamer'), cursor())()
            self.push('streamer', insert(f'live{i}'))
            self.stack.await_changes(stream, 1)

    @kind(rows=20)
    def rows_of_a_program_that_are_taken_up(self):
        user = self.user('served')
        self.stack.sql(f"""
            insert into sync_changes (app_id, table_name, record_id, user_id, op, data, client_id)
            select '{APP}', 'tasks', case when row % 2 = 0 then 'r' || 3 * row else 'program' || row end, '{user}', 'update',
                   '{{"title":"paid","updatedAt":"{now()}"}}'::jsonb, 'billing' from generate_series(1, 10) as row
            union all select '{APP}', 'tasks', 'r' || 3 * row, '{user}', 'update',
                   '{{"title":"late","updatedAt":"{LONG_AGO}"}}', 'billing' from generate_series(1, 10) as row""")
        waiting = f"select count(*) from sync_changes where user_id = '{user}' and scope is null and set_aside is null"
        await_that(lambda: self.stack.sql(waiting) == ['0'], 'the taking up of rows of a program')

    @kind(rows=10)
    def rows_that_a_program_prunes(self):
        self.stack.sql(f"""
            delete from sync_changes where id in (
                select id from sync_changes where user_id = '{self.user('gone')}' order by created_at limit 10)""")

    @kind(rows=300)
    def an_account_that_is_erased(self):
        self.stack.sql(f"delete from sync_changes where user_id = '{self.user('gone')}'")

    @kind(rows=1, fresh=True)
    def status_of_the_admin(self):
        self.stack.admin('status')

    @kind(rows=1, fresh=True)
    def doctor_of_the_admin(self):
        self.stack.admin('doctor')

    @kind(rows=2, fresh=True)
    def explain_of_the_admin(self):
        self.stack.admin('explain', self.user('writer'), APP, 'tasks', self.held[0])

    @kind(rows=2, fresh=True)
    def restore_write_of_the_admin(self):
        self.stack.admin('restore-write', self.user('writer'), APP, 'tasks', self.held[0], 'title', '--yes')


def keep(figures, about):
    for figure in figures:
        print(json.dumps({**{name: about[name] for name in ('kind', 'size', 'scopes', 'fresh')}, **figure}))


def measure(stack, about, warm_up, requests):
    if warm_up:
        about['make'](warm_up)
    stack.figures()
    try:
        about['make'](requests)
    finally:
        keep(stack.figures(), about)


def await_statement(stack, fragments, what, about):
    """Until the hub has made one that comes by itself. Only that one counts, and those within it."""
    def is_there():
        figures = [figure for figure in stack.figures() if any(fragment in figure['query'] for fragment in fragments)]
        keep(figures, about)
        return figures
    await_that(is_there, what)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--port', type=int, required=True, help='of nginx')
    parser.add_argument('--identity', required=True, help='URL of the identity service')
    parser.add_argument('--superuser', required=True, help='URL of PostgreSQL')
    parser.add_argument('--database', required=True)
    parser.add_argument('--run', required=True, help='the users of the fill that this run has for itself')
    parser.add_argument('--grow', help='a command that fills the database, once all plans have been made on what it holds')
    options = parser.parse_args()
    stack = Stack(options)
    start = {'kind': 'the start of the hub', 'size': 0, 'scopes': 0, 'fresh': True}
    await_statement(stack, ['from pushes_of_last(', 'order by xid desc'], "the hub's look at what was missed", start)
    await_that(lambda: any('oldest_untold()' in figure['query'] for figure in stack.figures()),
               "the hub's first sweep")
    # Each kind is made once before it counts: connections have read the catalogue, and the plans are made.
    warm_up, requests = Requests(stack, 'warm-' + options.run, 50), Requests(stack, options.run, 1500)
    for each in (warm_up, requests):
        stack.tell_memberships(each.run)
    if options.grow:
        for about in KINDS:
            about['make'](warm_up)
        subprocess.run(shlex.split(options.grow), check=True)
        warm_up = None
    until = time.monotonic() + RUN_TAKES_AT_MOST
    for about in KINDS:
        try:
            measure(stack, about, warm_up, requests)
        except (Failed, OSError, http.client.HTTPException, subprocess.SubprocessError) as failed:
            print(json.dumps({'failed': f'{about["kind"]}: {type(failed).__name__}: {failed}'}))
        if time.monotonic() > until:
            print(json.dumps({'failed': f'after {RUN_TAKES_AT_MOST} s no request was made after {about["kind"]}'}))
            return
    nothing = {'kind': 'nothing', 'size': 0, 'scopes': 0, 'fresh': False}
    await_statement(stack, ['forget_pushes(', 'with oldest as'], "the hub's removal of old pushes", nothing)


if __name__ == '__main__':
    main()
