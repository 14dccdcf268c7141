// The stream as a fetch-based EventSource sees it, through nginx where nothing else is said.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { anotherProxy } from './support/another_proxy.mjs';
import { endOf, idsOf, inserts, newUser, numbered, tokenOf, userWithBacklog } from './support/device.mjs';
import { cursorOfNow, fresh, patience, within } from './support/environment.mjs';
import { HubProcess } from './support/hub_process.mjs';
import { publishMany, spoilRows } from './support/outages.mjs';
import { SocketClient } from './support/socket_client.mjs';
import { ask, headersOf, headOf, textOf } from './support/stack.mjs';
import { changesOf, StreamClient, streamPath } from './support/stream_client.mjs';

const bearer = (token, more = {}) => ({ Authorization: `Bearer ${token}`, ...more });

async function assertRefused(path, status, options) {
    const answer = await ask(path, options);
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.headers['content-type'], /^application\/json/);
    const { error, message } = answer.json();
    assert.ok(error && message, answer.text);
}

// Every change of the tables that a client of its own is shown, by the pages of pull.
async function pulled(user, ...tables) {
    const pulls = tables.map(async (table) => [table, await user.device().pullAll(table)]);
    return Object.fromEntries(await Promise.all(pulls));
}

// Until the text comes.
async function firstWith(response, text) {
    let read = '';
    for await (const part of response) {
        read += part;
        if (read.includes(text)) return;
    }
    throw new Error(`the stream ended before ${text} came: ${read}`);
}

function byTable(pages) {
    const tables = {};
    for (const { table, changes } of pages) {
        (tables[table] ??= []).push(...changes);
    }
    return tables;
}

function assertGrows(times) {
    assert.deepEqual(times, [...times].sort());
}

describe('stream', { concurrency: true }, () => {
    describe('the request', () => {
        it('without a token is refused', () => assertRefused(streamPath(), 401));

        it('with a bad token is refused', () => assertRefused(streamPath(), 401, { headers: bearer('not.a.token') }));

        it('with an empty name among its collections is refused', async () => {
            const headers = bearer(await tokenOf(fresh('user')));
            await assertRefused(streamPath({ collections: ['a', '', 'b'] }), 400, { headers });
        });

        it('with more than a hundred collections is refused', async () => {
            const headers = bearer(await tokenOf(fresh('user')));
            await assertRefused(streamPath({ collections: numbered('c', 101) }), 400, { headers });
        });

        it('with a query that cannot be decoded is refused', async () => {
            const headers = bearer(await tokenOf(fresh('user')));
            await assertRefused(`${streamPath()}?collections=%zz`, 400, { headers });
        });

        it('of another method is refused', async () => {
            const headers = bearer(await tokenOf(fresh('user')));
            await assertRefused(streamPath(), 405, { method: 'POST', headers });
        });

        it('with a Last-Event-ID that is none of ours goes by its since', async (test) => {
            const user = await newUser();
            await user.device('phone').pushRecords('tasks', 'before');
            const first = await StreamClient.open(test, user.token);
            await first.pagesUntil('before');
            const since = first.lastId;
            await user.device('phone').pushRecords('tasks', 'after');
            const second = await StreamClient.open(test, user.token, { since, lastEventId: '42' });
            assert.deepEqual(idsOf(changesOf(await second.pagesUntil('after'))), ['after']);
        });

        it('with a since that cannot be read begins at the epoch', async (test) => {
            const user = await newUser();
            await user.device('phone').pushRecords('tasks', 't1');
            const stream = await StreamClient.open(test, user.token, { since: 'yesterday' });
            await stream.pagesUntil('t1');
        });
    });

    describe('the head', () => {
        it('comes at once, before there is any change', async (test) => {
            const user = await newUser();
            const { statusCode, headers } = await headOf(test, streamPath(), { headers: bearer(user.token) });
            assert.equal(statusCode, 200);
            assert.match(headers['content-type'], /^text\/event-stream/);
            assert.match(headers['cache-control'], /no-store/);
            assert.equal(headers['x-accel-buffering'], 'no'); // for proxies before ours
        });

        it('names an allowed origin exactly once', async (test) => {
            const origin = 'http://localhost:5173';
            const user = await newUser();
            const headers = bearer(user.token, { Origin: origin });
            const response = await headOf(test, streamPath(), { headers });
            assert.deepEqual(headersOf(response, 'access-control-allow-origin'), [origin]);
            assert.deepEqual(headersOf(response, 'access-control-allow-credentials'), ['true']);
        });
    });

    describe('a backlog', () => {
        it('arrives whole, once, and in the order of pull', async (test) => {
            const user = await userWithBacklog();
            const stream = await StreamClient.open(test, user.token);
            const pages = await stream.pagesOf(2_500);
            assert.deepEqual(byTable(pages), await pulled(user, 'lists', 'tasks'));
            assert.equal(pages.at(-1).hasMore, false);
        });

        it('arrives before what is pushed later', async (test) => {
            const user = await userWithBacklog();
            const stream = await StreamClient.open(test, user.token);
            await user.device('phone').pushRecords('tasks', 'later');
            const ids = idsOf(changesOf(await stream.pagesUntil('later')));
            assert.equal(ids.length, 2_501);
            assert.equal(new Set(ids).size, 2_501);
            assert.equal(ids.at(-1), 'later');
        });

        it('has a syncedUntil that grows, and from which pull goes on', async (test) => {
            const user = await userWithBacklog();
            const stream = await StreamClient.open(test, user.token);
            const pages = await stream.pagesOf(2_500);
            assertGrows(pages.map((page) => page.syncedUntil));
            for (const table of ['lists', 'tasks']) {
                const left = (await pulled(user, table))[table];
                for (const page of pages.filter((one) => one.table === table)) {
                    left.splice(0, page.changes.length);
                    assert.deepEqual(await user.device().pullAll(table, page.syncedUntil), left);
                }
            }
        });
    });

    describe('a row that cannot be read', () => {
        it('is left out, by the stream, by pull and by a push, and ends nothing', async (test) => {
            const user = await newUser();
            const phone = user.device('phone');
            await phone.pushRecords('tasks', 'spoilt', 't1');
            await spoilRows(user.name, 'spoilt');
            const hub = await HubProcess.start(test);
            const stream = await StreamClient.open(test, user.token, { at: hub });
            assert.deepEqual(idsOf(changesOf(await stream.pagesUntil('t1'))), ['t1']);
            await phone.pushRecords('tasks', 't2');
            await stream.pagesUntil('t2');
            assert.deepEqual(idsOf(await user.device().pullAll('tasks')), ['t1', 't2']);
            const { serverChanges } = await user.device('laptop').pushRecords('tasks', 't3');
            assert.deepEqual(idsOf(serverChanges), ['t1', 't2']);
        });
    });

    describe('behind another proxy', () => {
        it('that buffers, is not held back', async (test) => {
            const user = await newUser();
            const socketPath = await anotherProxy(test);
            const response = await headOf(test, streamPath({ since: cursorOfNow() }),
                { socketPath, headers: bearer(user.token) });
            assert.equal(response.headers['content-type'], 'text/event-stream');
            await user.device('phone').pushRecords('tasks', 't1');
            await within(patience, 'the event of the push', firstWith(response, 't1'));
        });
    });

    describe('what is told', () => {
        it('is a live change, as pull shows it', async (test) => {
            const user = await newUser();
            const stream = await StreamClient.open(test, user.token, { since: cursorOfNow() });
            await user.device('phone').pushRecords('tasks', 't1');
            const [page, ...more] = await stream.pagesUntil('t1');
            assert.deepEqual(more, []);
            assert.equal(page.table, 'tasks');
            assert.equal(page.hasMore, false);
            assert.deepEqual(page.changes, await user.device().pullAll('tasks'));
            assert.deepEqual(await user.device().pullAll('tasks', page.syncedUntil), []);
        });

        it('is every push, one after the other', async (test) => {
            const user = await newUser();
            const stream = await StreamClient.open(test, user.token, { since: cursorOfNow() });
            const ids = numbered('t', 30);
            const pages = [];
            for (const id of ids) {
                await user.device('phone').pushRecords('tasks', id);
                pages.push(...await stream.pagesUntil(id));
            }
            assert.deepEqual(idsOf(changesOf(pages)), ids);
            assertGrows(pages.map((page) => page.syncedUntil));
        });

        it('is of all tables where none are named', async (test) => {
            const user = await newUser();
            const stream = await StreamClient.open(test, user.token);
            await user.device('phone').push([...inserts('tasks', ['t1']), ...inserts('lists', ['l1'])]);
            assert.deepEqual(byTable(await stream.pagesOf(2)), await pulled(user, 'lists', 'tasks'));
        });

        it('is of the named tables only', async (test) => {
            const user = await newUser();
            const phone = user.device('phone');
            const tables = ['lists', 'tasks', 'notes'];
            const [l1, t1, n1] = tables.flatMap((table) => inserts(table, [`${table}1`]));
            await phone.push([l1, t1, n1]);
            const stream = await StreamClient.open(test, user.token, { collections: ['lists', 'tasks'] });
            await phone.push(tables.flatMap((table) => inserts(table, [`${table}2`])));
            await phone.pushRecords('lists', 'marker');
            const ids = idsOf(changesOf(await stream.pagesUntil('marker'))).sort();
            assert.deepEqual(ids, ['lists1', 'lists2', 'marker', 'tasks1', 'tasks2']);
        });

        it('is of the own app and user only', async (test) => {
            const [user, stranger] = await Promise.all([newUser(), newUser()]);
            const stream = await StreamClient.open(test, user.token);
            await stranger.device('phone').pushRecords('tasks', 'secret');
            await user.device('phone', 'notes').pushRecords('tasks', 'elsewhere');
            await user.device('phone').pushRecords('tasks', 'marker');
            assert.deepEqual(idsOf(changesOf(await stream.pagesUntil('marker'))), ['marker']);
        });

        it('is not the client\'s own', async (test) => {
            const user = await newUser();
            const stream = await StreamClient.open(test, user.token, { clientId: 'phone', since: cursorOfNow() });
            await user.device('phone').pushRecords('tasks', 'own');
            await user.device('laptop').pushRecords('tasks', 'marker');
            assert.deepEqual(idsOf(changesOf(await stream.pagesUntil('marker'))), ['marker']);
        });

        it('is the client\'s own too where it asks for that', async (test) => {
            const user = await newUser();
            const where = { clientId: 'phone', since: cursorOfNow(), includeOwn: true };
            const stream = await StreamClient.open(test, user.token, where);
            await user.device('phone').pushRecords('tasks', 'own');
            assert.deepEqual(idsOf(changesOf(await stream.pagesUntil('own'))), ['own']);
        });

        it('is the client\'s own too as far as a backlog from the epoch goes', async (test) => {
            const user = await userWithBacklog();
            const stream = await StreamClient.open(test, user.token, { clientId: 'phone' });
            assert.equal(changesOf(await stream.pagesOf(2_500)).length, 2_500);
            await user.device('phone').pushRecords('tasks', 'own');
            await user.device('laptop').pushRecords('tasks', 'marker');
            assert.deepEqual(idsOf(changesOf(await stream.pagesUntil('marker'))), ['marker']);
        });

        it('is a heartbeat where there is nothing else', async (test) => {
            const user = await newUser();
            const stream = await StreamClient.open(test, user.token);
            assert.deepEqual((await stream.heartbeats.take(35_000)).data, {});
        });

        it('is a heartbeat whose id goes beyond what was not shown', async (test) => {
            const user = await newUser();
            const first = await StreamClient.open(test, user.token, { clientId: 'phone', since: cursorOfNow() });
            await user.device('phone').pushRecords('tasks', 'own');
            const { id } = await first.heartbeats.take(35_000);
            const second = await StreamClient.open(test, user.token, { lastEventId: id });
            await user.device('phone').pushRecords('tasks', 'marker');
            assert.deepEqual(idsOf(changesOf(await second.pagesUntil('marker'))), ['marker']);
        });
    });

    describe('a stream that goes on from an id', () => {
        it('brings exactly what is missing', async (test) => {
            const user = await newUser();
            const phone = user.device('phone');
            await phone.pushRecords('tasks', 't1', 't2');
            const first = await StreamClient.open(test, user.token);
            await phone.pushRecords('lists', 'l1');
            await first.pagesUntil('l1');
            first.close();
            await phone.push([...inserts('tasks', ['t3']), ...inserts('lists', ['l2'])]);
            const second = await StreamClient.open(test, user.token, { lastEventId: first.lastId });
            await phone.pushRecords('tasks', 't4');
            const ids = idsOf(changesOf(await second.pagesUntil('t4')));
            assert.deepEqual(ids.sort(), ['l2', 't3', 't4']);
        });

        for (const [whose, clientId] of [['', undefined], [' of its own changes, from the epoch', 'phone']]) {
            it(`in the midst of a backlog${whose} misses nothing`, async (test) => {
                const user = await userWithBacklog();
                const first = await StreamClient.open(test, user.token, { clientId });
                const pages = await first.pagesOf(1_000);
                first.close();
                const shown = pages.slice(0, pages.findLastIndex((page) => page.id) + 1);
                assert.notEqual(shown.length, 0, 'no page has an id');
                const lastEventId = shown.at(-1).id;
                const second = await StreamClient.open(test, user.token, { clientId, lastEventId });
                await user.device('laptop').pushRecords('tasks', 'marker');
                shown.push(...await second.pagesUntil('marker'));
                const ids = idsOf(changesOf(shown));
                assert.equal(ids.length, 2_501);
                assert.equal(new Set(ids).size, 2_501);
            });
        }

        it('heeds the id before since', async (test) => {
            const user = await newUser();
            const phone = user.device('phone');
            await phone.pushRecords('tasks', 't1');
            const first = await StreamClient.open(test, user.token);
            await first.pagesUntil('t1');
            first.close();
            await phone.pushRecords('tasks', 't2');
            const { syncedUntil } = await phone.pull('tasks');
            const where = { lastEventId: first.lastId, since: syncedUntil };
            const second = await StreamClient.open(test, user.token, where);
            assert.deepEqual(idsOf(changesOf(await second.pagesUntil('t2'))), ['t2']);
        });

        it('is what the package opens by itself after the hub was killed', async (test) => {
            const user = await newUser();
            const phone = user.device('phone');
            const hub = await HubProcess.start(test);
            await phone.pushRecords('tasks', 't1');
            const stream = await StreamClient.open(test, user.token, { at: hub });
            await stream.pagesUntil('t1');
            hub.signal('SIGKILL');
            await stream.interruptions.take();
            await phone.pushRecords('tasks', 't2');
            await hub.end();
            await hub.run();
            const missed = await stream.pagesUntil('t2', 15_000);
            await phone.pushRecords('tasks', 't3');
            const live = await stream.pagesUntil('t3');
            assert.deepEqual(idsOf(changesOf([...missed, ...live])), ['t2', 't3']);
        });
    });

    // The hub may have read the backlog before the stream has begun to be written.
    it('misses nothing while it is told of all that was pushed before it came back', async (test) => {
        const user = await newUser();
        await user.device('phone').pushRecords('tasks', 't1');
        const hub = await HubProcess.start(test);
        const socket = await SocketClient.authenticated(test, user.token, { at: hub });
        await publishMany(user.name, 45_000, 'marker');
        await socket.toldUntil('marker', 30_000);
        for (let opened = 0; opened < 20; ++opened) {
            const stream = await StreamClient.open(test, user.token, { at: hub });
            await stream.pagesUntil('t1');
            stream.close();
        }
    });

    it('misses nothing and doubles nothing while it opens under pushes', async (test) => {
        const user = await newUser();
        const [phone, laptop] = [user.device('phone'), user.device('laptop')];
        const ids = numbered('r', 80);
        const opening = [];
        const pushHalf = async (device, table, half) => {
            for (const id of half) {
                await device.pushRecords(table, id);
                if (opening.length < 20) {
                    opening.push(StreamClient.open(test, user.token));
                }
            }
        };
        await Promise.all([
            pushHalf(phone, 'tasks', ids.filter((_, i) => i % 2 === 0)),
            pushHalf(laptop, 'lists', ids.filter((_, i) => i % 2 === 1)),
        ]);
        const streams = await Promise.all(opening);
        await phone.pushRecords('tasks', 'marker');
        for (const stream of streams) {
            const shown = idsOf(changesOf(await stream.pagesUntil('marker')));
            assert.deepEqual(shown.sort(), [...ids, 'marker'].sort());
        }
    });

    it('ends when its token does', async (test) => {
        const token = await tokenOf(fresh('user'), 3);
        const stream = await StreamClient.open(test, token);
        const late = (await stream.interruptions.take()).at - endOf(token);
        assert.ok(Math.abs(late) < 1_500, `it ended ${late} ms after the token`);
    });

    it('says in a comment why it ends', async (test) => {
        const headers = bearer(await tokenOf(fresh('user'), 3));
        const response = await headOf(test, streamPath(), { headers });
        assert.match(await textOf(response), /\n: token_expired\n\n$/);
    });
});
