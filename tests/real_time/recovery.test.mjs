// What clients of the hub notice when something around it is lost. Not beside other tests: what is lost here is lost
// for all.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { idsOf, newUser } from './support/device.mjs';
import { cursorOfNow, until } from './support/environment.mjs';
import { HubProcess } from './support/hub_process.mjs';
import {
    ChannelListener, cutHubsFromPostgres, cutSubscriptions, streamEntriesAbout, withoutPublishing,
} from './support/outages.mjs';
import { SocketClient, tablesOf } from './support/socket_client.mjs';
import { ask, stack } from './support/stack.mjs';
import { changesOf, StreamClient } from './support/stream_client.mjs';

const soon = 5_000; // "within seconds"

// One client at the stack's hub, one at a hub beside it.
async function socketsAtTwoHubs(test, user) {
    const second = await HubProcess.start(test);
    return Promise.all([stack, second].map((at) => SocketClient.authenticated(test, user.token, { at })));
}

describe('recovery', () => {
    describe('Redis never hears of a push', () => {
        it('and the clients of every hub are told all the same', async (test) => {
            const user = await newUser();
            const sockets = await socketsAtTwoHubs(test, user);
            await withoutPublishing(async () => {
                await user.device('phone').pushRecords('tasks', 't1');
                await Promise.all(sockets.map((socket) => socket.toldUntil('tasks', soon)));
            });
        });

        it('and streams bring it all the same', async (test) => {
            const user = await newUser();
            const stream = await StreamClient.open(test, user.token);
            await withoutPublishing(async () => {
                await user.device('phone').pushRecords('tasks', 't1');
                await stream.pagesUntil('t1', soon);
            });
        });

        it('and other tools are told once it can be reached', async (test) => {
            const user = await newUser();
            const listener = await ChannelListener.start(test);
            const pushed = await withoutPublishing(() => user.device('phone').pushRecords('tasks', 't1', 't2'));
            await until('told on the channel', () => listener.about(user.name).length > 0, soon);
            const [{ v, scope, app, tables, client, count, cursor }] = listener.about(user.name);
            const told = { v, scope, app, tables, client, count, cursor };
            const where = { v: 1, scope: `u:${user.name}`, app: 'todo', client: 'phone' };
            assert.deepEqual(told, { ...where, tables: ['tasks'], count: 2, cursor: pushed.syncedUntil });
            const inStream = await until('in the stream', async () => {
                const entries = await streamEntriesAbout(user.name);
                return entries.length > 0 && entries;
            }, soon);
            // Each place is told by itself, at a time of its own.
            const withoutTime = (all) => all.map(({ publishedAt, ...rest }) => rest);
            assert.deepEqual(withoutTime(inStream), withoutTime(listener.about(user.name)));
        });
    });

    describe('the subscription of the hubs is cut', () => {
        it('and every push is told', async (test) => {
            const user = await newUser();
            const sockets = await socketsAtTwoHubs(test, user);
            for (const table of ['first', 'second', 'third']) {
                await cutSubscriptions();
                await user.device('phone').pushRecords(table, 'r1');
                await Promise.all(sockets.map((socket) => socket.toldUntil(table, soon)));
            }
        });

        it('amid pushes, and every one is told', async (test) => {
            const user = await newUser();
            const sockets = await socketsAtTwoHubs(test, user);
            const tables = Array.from({ length: 20 }, (_, i) => `table${i + 10}`);
            for (const [i, table] of tables.entries()) {
                if (i % 5 === 2) await cutSubscriptions();
                await user.device('phone').pushRecords(table, 'r1');
            }
            for (const socket of sockets) {
                const missing = new Set(tables);
                while (missing.size > 0) {
                    tablesOf([await socket.next(soon)]).forEach((table) => missing.delete(table));
                }
            }
        });
    });

    describe('the hub\'s connections to PostgreSQL are cut', () => {
        it('and streams go on', async (test) => {
            const user = await newUser();
            const stream = await StreamClient.open(test, user.token, { since: cursorOfNow() });
            await user.device('phone').pushRecords('tasks', 't1');
            await stream.pagesUntil('t1');
            assert.ok(await cutHubsFromPostgres() > 0);
            await user.device('phone').pushRecords('tasks', 't2');
            assert.deepEqual(idsOf(changesOf(await stream.pagesUntil('t2', soon))), ['t2']);
        });

        it('and what Redis never hears of is told from there all the same', async (test) => {
            const user = await newUser();
            const socket = await SocketClient.authenticated(test, user.token);
            assert.ok(await cutHubsFromPostgres() > 0);
            await withoutPublishing(async () => {
                await user.device('phone').pushRecords('tasks', 't1');
                await socket.toldUntil('tasks', soon);
            });
            await until('PostgreSQL is up again', async () => (await ask('/health')).json().postgres === 'up', soon);
        });
    });
});
