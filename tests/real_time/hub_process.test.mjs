// The hub as a process: what it tells of itself, and how it stops, reloads and comes back.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { newUser, pushMoreThanFits, userWithBacklog } from './support/device.mjs';
import { until } from './support/environment.mjs';
import { HubProcess } from './support/hub_process.mjs';
import { SocketClient } from './support/socket_client.mjs';
import { ask, headOf } from './support/stack.mjs';
import { StreamClient, streamPath } from './support/stream_client.mjs';

const soon = 5_000; // "within seconds"

describe('a hub', { concurrency: true }, () => {
    describe('that is told to stop', () => {
        it('says goodbye to its clients and ends well', async (test) => {
            const user = await newUser();
            const hub = await HubProcess.start(test);
            const socket = await SocketClient.authenticated(test, user.token, { at: hub });
            const stream = await StreamClient.open(test, user.token, { at: hub });
            hub.signal('SIGTERM');
            const [goodbye, end] = await Promise.all([
                socket.end(3_000), hub.end(3_000), stream.interruptions.take(3_000),
            ]);
            assert.deepEqual(goodbye, { code: 1001, reason: 'hub_stops' });
            assert.deepEqual(end, { code: 0, signal: null });
        });

        it('first tells what it had not told yet', async (test) => {
            const user = await newUser();
            const hub = await HubProcess.start(test);
            const socket = await SocketClient.authenticated(test, user.token, { at: hub });
            const probe = await SocketClient.authenticated(test, user.token, { at: hub });
            socket.stopReading();
            await pushMoreThanFits(user.device('phone'));
            await user.device('phone').pushRecords('last', 'r1');
            await probe.toldUntil('last');
            hub.signal('SIGTERM');
            await probe.end();
            socket.readOn();
            await socket.toldUntil('last');
            assert.deepEqual(await socket.end(), { code: 1001, reason: 'hub_stops' });
            assert.deepEqual(await hub.end(), { code: 0, signal: null });
        });
    });

    describe('that is told to reload', () => {
        it('keeps its connections', async (test) => {
            const user = await newUser();
            const hub = await HubProcess.start(test);
            const socket = await SocketClient.authenticated(test, user.token, { at: hub });
            const stream = await StreamClient.open(test, user.token, { at: hub });
            hub.signal('SIGHUP');
            await user.device('phone').pushRecords('tasks', 't1');
            await Promise.all([socket.toldUntil('tasks'), stream.pagesUntil('t1')]);
            hub.signal('SIGHUP');
            await socket.ping();
            assert.equal((await hub.health()).status, 'ok');
        });
    });

    describe('whose client takes nothing', () => {
        it('cuts it off', async (test) => {
            const user = await userWithBacklog();
            const hub = await HubProcess.start(test);
            const socket = await SocketClient.authenticated(test, user.token, { at: hub });
            socket.stopReading();
            const headers = { Authorization: `Bearer ${user.token}` };
            await headOf(test, streamPath(), { socketPath: hub.socket, headers });
            await pushMoreThanFits(user.device('phone'));
            assert.equal((await hub.health()).connections, 2);
            await until('both are gone', async () => (await hub.health()).connections === 0, 30_000);
        });
    });

    describe('that was killed', () => {
        it('tells returning clients of what was pushed while it was away', async (test) => {
            const user = await newUser();
            const hub = await HubProcess.start(test);
            const socket = await SocketClient.authenticated(test, user.token, { at: hub });
            hub.signal('SIGKILL');
            await Promise.all([hub.end(), socket.end()]);
            await user.device('phone').pushRecords('tasks', 't1');
            await hub.run();
            const back = await SocketClient.authenticated(test, user.token, { at: hub });
            await back.toldUntil('tasks', soon);
        });
    });

    describe('tells of its state', () => {
        it('that the service, PostgreSQL and Redis are there', async () => {
            const { timestamp, connections, users, ...state } = (await ask('/health')).json();
            assert.deepEqual(state, { status: 'ok', service: 'mana-sync', postgres: 'up', redis: 'up' });
            assert.ok(Math.abs(Date.now() - Date.parse(timestamp)) < soon, timestamp);
            assert.equal(typeof connections, 'number');
            assert.equal(typeof users, 'number');
        });

        it('how many connections it has, and of how many users', async (test) => {
            const [one, other] = await Promise.all([newUser(), newUser()]);
            const hub = await HubProcess.start(test);
            await SocketClient.authenticated(test, one.token, { at: hub });
            await SocketClient.authenticated(test, one.token, { at: hub, app: 'todo' });
            await StreamClient.open(test, other.token, { at: hub });
            const { connections, users } = await hub.health();
            assert.deepEqual({ connections, users }, { connections: 3, users: 2 });
        });

        it('in the two metrics of old', async () => {
            const { text } = await ask('/metrics');
            assert.match(text, /^mana_sync_connections_total \d+$/m);
            assert.match(text, /^mana_sync_users_connected \d+$/m);
        });
    });
});
