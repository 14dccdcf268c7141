// The WebSocket as the ws package sees it, through nginx where nothing else is said.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { endOf, newUser, pushesThatDoNotFit, pushMoreThanFits, tokenOf } from './support/device.mjs';
import { fresh } from './support/environment.mjs';
import { HubProcess } from './support/hub_process.mjs';
import { SocketClient, tablesOf } from './support/socket_client.mjs';
import { ask } from './support/stack.mjs';

const allowedOrigin = 'http://localhost:5173';

// What a refusal looks like: an error message, then the close.
async function assertRefused(socket, reason) {
    const { type, message } = await socket.next();
    assert.equal(type, 'error');
    assert.equal(typeof message, 'string');
    assert.notEqual(message, '');
    assert.deepEqual(await socket.end(), { code: 1008, reason });
}

describe('WebSocket', { concurrency: true }, () => {
    describe('notifications', () => {
        it('tells of another client\'s push: the app and its tables, sorted', async (test) => {
            const user = await newUser();
            const socket = await SocketClient.authenticated(test, user.token, { clientId: 'laptop' });
            const change = (table) => ({ table, id: 'r1', op: 'insert', data: { title: 'new' } });
            await user.device('phone').push(['tasks', 'lists', 'tags', 'Notes'].map(change));
            const tables = ['Notes', 'lists', 'tags', 'tasks'];
            assert.deepEqual(await socket.next(), { type: 'sync-available', appId: 'todo', tables });
        });

        it('does not tell a client of its own push', async (test) => {
            const user = await newUser();
            const socket = await SocketClient.authenticated(test, user.token, { clientId: 'phone' });
            await user.device('phone').pushRecords('own', 'r1');
            await user.device('laptop').pushRecords('marker', 'r1');
            assert.deepEqual(tablesOf(await socket.toldUntil('marker')), ['marker']);
        });

        it('tells a client without an id of every push', async (test) => {
            const user = await newUser();
            const socket = await SocketClient.authenticated(test, user.token);
            await user.device('phone').pushRecords('tasks', 'r1');
            await socket.toldUntil('tasks');
            await user.device().pushRecords('lists', 'r1');
            await socket.toldUntil('lists');
        });

        it('of /ws/{appId} are of that app only, of /ws of all', async (test) => {
            const user = await newUser();
            const ofOne = await SocketClient.authenticated(test, user.token, { app: 'todo' });
            const ofAll = await SocketClient.authenticated(test, user.token);
            await user.device('phone', 'notes').pushRecords('pages', 'r1');
            await user.device('phone', 'todo').pushRecords('tasks', 'r1');
            assert.deepEqual((await ofOne.toldUntil('tasks')).map((message) => message.appId), ['todo']);
            const apps = new Set([...await ofAll.toldUntil('pages'), ...await ofAll.toldUntil('tasks')]
                .map((message) => message.appId));
            assert.deepEqual(apps, new Set(['notes', 'todo']));
        });

        it('are of the own user only', async (test) => {
            const [user, stranger] = await Promise.all([newUser(), newUser()]);
            const socket = await SocketClient.authenticated(test, user.token);
            await stranger.device('phone').pushRecords('secrets', 'r1');
            await user.device('phone').pushRecords('marker', 'r1');
            assert.deepEqual(tablesOf(await socket.toldUntil('marker')), ['marker']);
        });

        it('reach every connection of the user', async (test) => {
            const user = await newUser();
            const open = () => SocketClient.authenticated(test, user.token);
            const sockets = await Promise.all(Array.from({ length: 20 }, open));
            await user.device('phone').pushRecords('tasks', 'r1');
            await Promise.all(sockets.map((socket) => socket.toldUntil('tasks')));
        });

        it('that a client does not read are told as few', async (test) => {
            const user = await newUser();
            const hub = await HubProcess.start(test); // nginx would hold megabytes in between
            const socket = await SocketClient.authenticated(test, user.token, { at: hub });
            socket.stopReading();
            const tables = await pushMoreThanFits(user.device('phone'));
            await user.device('phone').pushRecords('last', 'r1');
            socket.readOn();
            const told = await socket.toldUntil('last');
            assert.deepEqual(tablesOf(told), [...tables, 'last'].sort());
            assert.ok(told.length < pushesThatDoNotFit / 2, `${told.length} messages for ${pushesThatDoNotFit} pushes`);
        });
    });

    describe('a push of thousands of tables', () => {
        const push = (user) => user.device('phone').push(
            Array.from({ length: 5_000 }, (_, i) => ({ table: `made up ${i}`, id: 'r', op: 'insert', data: { a: i } })));

        it('ends no connection: it tells "pull everything"', async (test) => {
            const user = await newUser();
            const socket = await SocketClient.authenticated(test, user.token);
            await push(user);
            const [told] = await socket.toldUntil('*');
            assert.equal(told.appId, 'todo');
            assert.ok(told.tables.length < 2_000, `${told.tables.length} tables are named`);
            await user.device('phone').pushRecords('marker', 'r1');
            await socket.toldUntil('marker');
        });

        it('does not end one that does not read', async (test) => {
            const user = await newUser();
            const hub = await HubProcess.start(test);
            const socket = await SocketClient.authenticated(test, user.token, { at: hub });
            socket.stopReading();
            await pushMoreThanFits(user.device('phone'));
            await push(user);
            await user.device('phone').pushRecords('marker', 'r1');
            socket.readOn();
            const told = await socket.toldUntil('marker');
            assert.ok(tablesOf(told).includes('*'));
        });
    });

    describe('ping', () => {
        it('is answered before and after auth', async (test) => {
            const user = await newUser();
            const socket = await SocketClient.open(test);
            await socket.ping();
            await socket.authenticate(user.token);
            await socket.ping();
        });
    });

    describe('auth', () => {
        it('that does not come within ten seconds ends the connection, pings or not', async (test) => {
            const opened = Date.now();
            const socket = await SocketClient.open(test);
            const pings = setInterval(() => socket.send({ type: 'ping' }), 1_000);
            const end = await socket.end(15_000).finally(() => clearInterval(pings));
            assert.deepEqual(end, { code: 1008, reason: 'auth_timeout' });
            const seconds = (Date.now() - opened) / 1000;
            assert.ok(seconds > 9 && seconds < 13, `it ended after ${seconds} s`);
        });

        it('with a bad token is refused', async (test) => {
            const socket = await SocketClient.open(test);
            socket.send({ type: 'auth', token: 'not.a.token' });
            await assertRefused(socket, 'token_refused');
        });

        it('without a token is refused', async (test) => {
            const socket = await SocketClient.open(test);
            socket.send({ type: 'auth' });
            await assertRefused(socket, 'token_refused');
        });

        it('with a token that has long ended is refused', async (test) => {
            const socket = await SocketClient.open(test);
            socket.send({ type: 'auth', token: await tokenOf(fresh('user'), -120) });
            await assertRefused(socket, 'token_refused');
        });

        it('of the same user again is answered again', async (test) => {
            const user = await newUser();
            const socket = await SocketClient.authenticated(test, user.token);
            await socket.authenticate(await tokenOf(user.name));
            await user.device('phone').pushRecords('tasks', 'r1');
            await socket.toldUntil('tasks');
        });

        it('of another user is refused', async (test) => {
            const [user, stranger] = await Promise.all([newUser(), newUser()]);
            const socket = await SocketClient.authenticated(test, user.token);
            socket.send({ type: 'auth', token: stranger.token });
            await assertRefused(socket, 'other_user');
        });

        it('with a bad token ends a connection that had a good one', async (test) => {
            const user = await newUser();
            const socket = await SocketClient.authenticated(test, user.token);
            socket.send({ type: 'auth', token: 'not.a.token' });
            await assertRefused(socket, 'token_refused');
        });
    });

    describe('a token that ends', () => {
        it('ends its connection', async (test) => {
            const user = await newUser(3);
            const socket = await SocketClient.authenticated(test, user.token);
            assert.deepEqual(await socket.end(), { code: 1008, reason: 'token_expired' });
            const late = (await socket.ended).at - endOf(user.token);
            assert.ok(Math.abs(late) < 1_500, `it ended ${late} ms after the token`);
        });

        it('does not end a connection that has a fresh one', async (test) => {
            const user = await newUser();
            const ending = await tokenOf(user.name, 3);
            const left = await SocketClient.authenticated(test, ending);
            const renewed = await SocketClient.authenticated(test, ending);
            await renewed.authenticate(user.token);
            await left.end();
            await user.device('phone').pushRecords('tasks', 'r1');
            await renewed.toldUntil('tasks');
        });
    });

    describe('a message', () => {
        for (const junk of ['{', 'hello', '[]', '"auth"', '{}', '{"type":1}', '']) {
            it(`that is ${JSON.stringify(junk)} is refused`, async (test) => {
                const socket = await SocketClient.open(test);
                socket.sendRaw(junk);
                await assertRefused(socket, 'malformed_message');
            });
        }

        it('of an unknown type is refused before auth', async (test) => {
            const socket = await SocketClient.open(test);
            socket.send({ type: 'subscribe' });
            await assertRefused(socket, 'not_authenticated');
        });

        it('of an unknown type is an error after auth, and the connection stays', async (test) => {
            const user = await newUser();
            const socket = await SocketClient.authenticated(test, user.token);
            socket.send({ type: 'subscribe' });
            const { type, message } = await socket.next();
            assert.equal(type, 'error');
            assert.equal(typeof message, 'string');
            await socket.ping();
        });

        it('in a binary frame ends the connection', async (test) => {
            const socket = await SocketClient.open(test);
            socket.sendRaw(Buffer.from('{"type":"ping"}'));
            assert.deepEqual(await socket.end(), { code: 1003, reason: 'binary_message' });
        });

        it('of more than 16 KiB ends the connection', async (test) => {
            const socket = await SocketClient.open(test);
            socket.send({ type: 'auth', token: 'x'.repeat(16 * 1024) });
            assert.equal((await socket.end()).code, 1009);
        });
    });

    describe('the handshake', () => {
        for (const [what, origin] of [['from an allowed origin', allowedOrigin], ['without an origin', undefined]]) {
            it(`${what} is made`, async (test) => {
                const user = await newUser();
                const socket = await SocketClient.authenticated(test, user.token, { origin });
                await socket.ping();
            });
        }

        it('from a foreign origin is refused', async (test) => {
            await assert.rejects(SocketClient.open(test, { origin: 'https://evil.example' }), ({ status, text }) => {
                assert.equal(status, 403);
                const { error, message } = JSON.parse(text);
                assert.ok(error && message, text);
                return true;
            });
        });

        // As a browser does, the package gives up where none of what it offered was taken (RFC 6455 §4.1).
        it('that offers subprotocols is answered with none', async (test) => {
            const offer = SocketClient.open(test, { protocols: ['mana-sync', 'graphql-ws'] });
            await assert.rejects(offer, { message: 'Server sent no subprotocol' });
        });

        it('from an origin that was set in another form than browsers send is made', async (test) => {
            const set = 'HTTPS://App.Example.ORG:443, http://[0:0::1]:80';
            const hub = await HubProcess.start(test, { CORS_ORIGINS: set });
            for (const origin of ['https://app.example.org', 'http://[::1]']) {
                await SocketClient.open(test, { at: hub, origin });
            }
            await assert.rejects(SocketClient.open(test, { at: hub, origin: 'https://app.example.org:443' }));
        });

        it('is asked for where there is none', async () => {
            for (const path of ['/ws', '/ws/todo']) {
                const answer = await ask(path);
                assert.equal(answer.status, 426);
                assert.equal(answer.json().error, 'upgrade_required');
            }
        });
    });
});
