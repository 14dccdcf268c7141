#!/usr/bin/python3
"""The development identity service: tokens and their key set, billing status and memberships, for ./dev and tests.

A stand-in for the services that JWKS_URL, MANA_CREDITS_URL and MANA_AUTH_URL name. It signs whatever it is asked to,
so it listens on 127.0.0.1 only and belongs on no server. Keys live in --state-dir and outlive a restart; all else
that /control sets is forgotten with the process.

GET  /api/auth/jwks                                  the key set (Ed25519)
GET  /token?user=U[&ttl=SECONDS][&kid=KID]           a token, as text
GET  /tokens?prefix=P&count=N                        tokens of the users P-0 to P-(N-1), good for a day, one a line
POST /token {"claims":{...},"headers":{...},"kid"}   a token of exactly these claims, for tests of refusal
GET  /api/v1/internal/sync/status/{user}             {"active":true|false}          needs X-Service-Key
GET  /api/v1/internal/users/{id}/memberships         {"memberships":[...]}          needs X-Service-Key
GET  /control, GET /control/counts                   what is set; how many requests each path has had
POST /control                                        sets any of:
    "memberships": {user: [{"organizationId","role"}]}   replaces that user's list
    "inactive":    {user: true|false}                    billing says {"active":false}
    "delay":       {part: seconds}                       part is "jwks", "billing" or "memberships"
    "fail":        {part: status | "close" | null}       that status, or the connection closed without an answer
    "garbage":     {part: true|false}                    200 with a body that is not JSON
    "fail_user":   {part: {user: how}}                   the same for one user alone: a status, "garbage", "large" (200
                                                         with 1.1 MB) or "no route" (404 as a proxy says it, in HTML)
    "rotate":      true                                  a new key signs from now on; the old ones stay in the set
    "forget":      kid                                   takes a key out of the set
    "reset_counts": true
    "reset":       true                                  all of the above as at the start, keys excepted
"""
import argparse
import base64
import collections
import json
import os
import pathlib
import secrets
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DAY = 24 * 3600
MOST_TOKENS = 100_000
STATUS_PATH = '/api/v1/internal/sync/status/'
USERS_PATH = '/api/v1/internal/users/'


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def claims_of(user, ttl):
    now = int(time.time())
    return {'sub': user, 'iat': now, 'exp': int(now + ttl)}


class KeyRing:
    """The signing keys, oldest first, in a file that only its owner reads. The caller holds the state's lock."""

    def __init__(self, path):
        self.path = path
        self.keys = {}
        if path.exists():
            for kid, raw in json.loads(path.read_text()).items():
                self.keys[kid] = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(raw))
        if not self.keys:
            self.rotate()

    def rotate(self):
        kid = 'dev-' + secrets.token_hex(4)
        self.keys[kid] = Ed25519PrivateKey.generate()
        self.save()
        return kid

    def forget(self, kid):
        self.keys.pop(kid, None)
        if not self.keys:
            self.rotate()
        self.save()

    def save(self):
        raw = {kid: key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
                                      serialization.NoEncryption()).hex() for kid, key in self.keys.items()}
        fresh = self.path.with_suffix('.new')
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='utf-8') as file:
            json.dump(raw, file)
        fresh.replace(self.path)

    def newest(self):
        return next(reversed(self.keys))

    def public_set(self):
        return {'keys': [{'kty': 'OKP', 'crv': 'Ed25519', 'alg': 'EdDSA', 'use': 'sig', 'kid': kid,
                          'x': base64url(key.public_key().public_bytes(serialization.Encoding.Raw,
                                                                       serialization.PublicFormat.Raw))}
                         for kid, key in self.keys.items()]}


class State:
    """Everything that requests share. All members are guarded by lock."""

    def __init__(self, state_dir):
        self.lock = threading.Lock()
        self.ring = KeyRing(state_dir / 'keys.json')
        self.counts = collections.Counter()
        self.reset()

    def reset(self):
        self.memberships, self.inactive = {}, {}
        self.delay, self.fail, self.garbage, self.fail_user = {}, {}, {}, {}
        self.counts.clear()

    def describe(self):
        return {'memberships': self.memberships, 'inactive': self.inactive, 'delay': self.delay, 'fail': self.fail,
                'garbage': self.garbage, 'fail_user': self.fail_user, 'kids': list(self.ring.keys)}

    def change(self, wish):
        if wish.get('reset'):
            self.reset()
        if wish.get('reset_counts'):
            self.counts.clear()
        for name in ('memberships', 'inactive', 'delay', 'fail', 'garbage', 'fail_user'):
            getattr(self, name).update(wish.get(name, {}))
        if wish.get('rotate'):
            self.ring.rotate()
        if 'forget' in wish:
            self.ring.forget(wish['forget'])


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    wbufsize = -1  # head and body leave in one packet; flushed after each request
    state = None
    service_key = ''

    def log_message(self, *_):
        """Quiet: a request line may hold what no log should."""

    def answer(self, status, body, content_type='application/json'):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', content_type)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, message):
        self.answer(status, {'error': 'refused', 'message': message})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if not url.path.startswith('/control'):
            with self.state.lock:
                self.state.counts[url.path] += 1
        if url.path == '/api/auth/jwks':
            self.give('jwks', lambda state: state.ring.public_set())
        elif url.path == '/token':
            self.give_token(query)
        elif url.path == '/tokens':
            self.give_tokens(query)
        elif url.path.startswith(STATUS_PATH):
            user = urllib.parse.unquote(url.path[len(STATUS_PATH):])
            self.give_internal('billing', user, lambda state: {'active': not state.inactive.get(user, False)})
        elif url.path.startswith(USERS_PATH) and url.path.endswith('/memberships'):
            user = urllib.parse.unquote(url.path[len(USERS_PATH):-len('/memberships')])
            self.give_internal('memberships', user, lambda state: {'memberships': state.memberships.get(user, [])})
        elif url.path == '/control':
            with self.state.lock:
                description = self.state.describe()
            self.answer(200, description)
        elif url.path == '/control/counts':
            with self.state.lock:
                counts = dict(self.state.counts)
            self.answer(200, counts)
        else:
            self.refuse(404, 'no such path')

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        try:
            wish = json.loads(body or b'{}')
            if self.path == '/control':
                with self.state.lock:
                    self.state.change(wish)
                    description = self.state.describe()
                self.answer(200, description)
            elif self.path == '/token':
                token = self.sign(wish['claims'], wish.get('kid'), wish.get('headers', {}))
                self.answer(200, token, 'text/plain')
            else:
                self.refuse(404, 'no such path')
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            self.refuse(400, f'{type(problem).__name__}: {problem}')

    def give_internal(self, part, user, make):
        with self.state.lock:
            how = self.state.fail_user.get(part, {}).get(user)
        if self.headers.get('X-Service-Key') != self.service_key:
            self.refuse(401, 'X-Service-Key is missing or wrong')
        elif how is None:
            self.give(part, make)
        elif how == 'garbage':
            self.answer(200, '<html>not what you expected')
        elif how == 'large':
            self.answer(200, {'active': False, 'memberships': [], 'much': 'x' * 1_100_000})
        elif how == 'no route':
            self.answer(404, '<html>no such route', 'text/html')
        else:
            self.refuse(how, 'told to refuse this user')

    def give(self, part, make):
        """Answers with what make returns, unless a test has asked this part to misbehave."""
        with self.state.lock:
            delay, failure = self.state.delay.get(part, 0), self.state.fail.get(part)
            garbage, body = self.state.garbage.get(part, False), make(self.state)
        if delay:
            time.sleep(delay)
        if failure == 'close':
            self.close_connection = True
        elif failure:
            self.refuse(failure, 'told to fail')
        elif garbage:
            self.answer(200, '<html>not what you expected')
        else:
            self.answer(200, body)

    def give_token(self, query):
        if not query.get('user'):
            self.refuse(400, 'user is missing')
            return
        try:
            ttl = float(query.get('ttl', DAY))
        except ValueError:
            self.refuse(400, 'ttl is no number')
            return
        self.answer(200, self.sign(claims_of(query['user'], ttl), query.get('kid'), {}), 'text/plain')

    def give_tokens(self, query):
        try:
            count = int(query.get('count', 0))
        except ValueError:
            count = 0
        if not query.get('prefix') or not 0 < count <= MOST_TOKENS:
            self.refuse(400, f'prefix and count are needed, count from 1 to {MOST_TOKENS}')
            return
        tokens = [self.sign(claims_of(f'{query["prefix"]}-{i}', DAY), None, {}) for i in range(count)]
        self.answer(200, '\n'.join(tokens) + '\n', 'text/plain')

    def sign(self, claims, kid, headers):
        with self.state.lock:
            kid = kid or self.state.ring.newest()
            # A kid that is not ours is signed all the same: that is a test of an unknown key.
            key = self.state.ring.keys.get(kid) or self.state.ring.keys[self.state.ring.newest()]
        return jwt.encode(claims, key, algorithm='EdDSA', headers={'kid': kid, **headers})


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that went away, as the tests' clients do, is no error here."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser(description='The development identity service of mana-sync.')
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--state-dir', type=pathlib.Path, required=True)
    parser.add_argument('--service-key', default='dev-service-key', help='what X-Service-Key must hold')
    options = parser.parse_args()
    options.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    Handler.state = State(options.state_dir)
    Handler.service_key = options.service_key
    try:
        Server(('127.0.0.1', options.port), Handler).serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
