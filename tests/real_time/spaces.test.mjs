// Shared spaces in real time: members hear of each other's changes, others don't, and who joins or leaves does so on
// connections that are open.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { inserts, inSpace, join, newUser } from './support/device.mjs';
import { fresh, until } from './support/environment.mjs';
import { HubProcess } from './support/hub_process.mjs';
import { SocketClient, tablesOf } from './support/socket_client.mjs';
import { StreamClient } from './support/stream_client.mjs';

// Where changes of membership are to be noticed within seconds, not minutes.
const quick = { GATE_CACHE: '2s' };

async function membersOf(space, count) {
    const users = await Promise.all(Array.from({ length: count }, () => newUser()));
    await Promise.all(users.map((user) => join(user, space)));
    return users;
}

describe('a shared space', { concurrency: true }, () => {
    it('is told of to its members, and to nobody else', async (test) => {
        const space = fresh('space');
        const [author, member] = await membersOf(space, 2);
        const stranger = await newUser();
        const sockets = await Promise.all(
            [member, stranger].map((user) => SocketClient.authenticated(test, user.token)));
        await author.device('phone').push([
            ...inSpace(space, inserts('tasks', ['t1'])), ...inserts('secrets', ['s1']),
        ]);
        const told = await sockets[0].toldUntil('tasks');
        assert.deepEqual(tablesOf(told), ['tasks'], 'tables outside of the space are nobody else\'s');
        await stranger.device('laptop').pushRecords('marker', 'm1');
        assert.deepEqual(tablesOf(await sockets[1].toldUntil('marker')), ['marker']);
    });

    it('is told of to a member whose client has the id of the author\'s', async (test) => {
        const space = fresh('space');
        const [author, member] = await membersOf(space, 2);
        const socket = await SocketClient.authenticated(test, member.token, { clientId: 'phone' });
        await author.device('phone').push(inSpace(space, inserts('tasks', ['t1'])));
        await socket.toldUntil('tasks');
    });

    it('streams to its members', async (test) => {
        const space = fresh('space');
        const [author, member] = await membersOf(space, 2);
        const stream = await StreamClient.open(test, member.token);
        await author.device('phone').push(inSpace(space, inserts('tasks', ['t1'])));
        await stream.pagesUntil('t1');
    });

    it('is given to who joins while a connection is open', async (test) => {
        const space = fresh('space');
        const [author] = await membersOf(space, 1);
        await author.device('phone').push(inSpace(space, inserts('tasks', ['old'])));
        const newcomer = await newUser();
        const hub = await HubProcess.start(test, quick);
        const socket = await SocketClient.authenticated(test, newcomer.token, { at: hub });
        const stream = await StreamClient.open(test, newcomer.token, { at: hub });
        await newcomer.device('laptop').pushRecords('tasks', 'mine');
        await stream.pagesUntil('mine');
        await join(newcomer, space);
        await stream.pagesUntil('old');
        let heard = false;
        const told = socket.toldUntil('later').then(() => { heard = true; });
        for (let pushed = 0; !heard; ++pushed) {
            await author.device('phone').push(inSpace(space, inserts('later', [`l${pushed}`])));
            await Promise.race([told, new Promise((resolve) => { setTimeout(resolve, 200); })]);
        }
        await told;
    });

    it('is not shown any more to who leaves while a connection is open', async (test) => {
        const space = fresh('space');
        const [author, member] = await membersOf(space, 2);
        const hub = await HubProcess.start(test, quick);
        const stream = await StreamClient.open(test, member.token, { at: hub });
        await author.device('phone').push(inSpace(space, inserts('tasks', ['before'])));
        await stream.pagesUntil('before');
        await join(member);
        let pushed = 0;
        await until('a change of the space is not streamed', async () => {
            const id = `after${++pushed}`;
            await author.device('phone').push(inSpace(space, inserts('tasks', [id])));
            await member.device('laptop').pushRecords('markers', `m${pushed}`);
            const pages = await stream.pagesUntil(`m${pushed}`);
            return !pages.some((page) => page.changes.some((change) => change.id === id));
        });
    });
});
