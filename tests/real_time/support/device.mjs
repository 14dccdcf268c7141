// Users that nobody else is, and their browser tabs, which push and pull through nginx.
import assert from 'node:assert/strict';

import { fresh, required, timeFromNow } from './environment.mjs';
import { stack } from './stack.mjs';

export const app = 'todo';
export const pushesThatDoNotFit = 40;

// A JWT from the identity service, good for `seconds`.
export async function tokenOf(user, seconds = 3600) {
    const query = new URLSearchParams({ user, ttl: seconds });
    const response = await fetch(`${required('MANA_TEST_IDENTITY_URL')}/token?${query}`);
    assert.equal(response.status, 200);
    return response.text();
}

// When a token ends, in milliseconds.
export function endOf(token) {
    return JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).exp * 1000;
}

class Device {
    constructor(token, clientId = '', ofApp = app) {
        this.url = `${stack.http}/sync/${ofApp}`;
        this.headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
        if (clientId) {
            this.headers['X-Client-Id'] = clientId;
        }
    }

    // The answer of a push that must succeed.
    async push(changes) {
        return this.#answerOf(await fetch(this.url, {
            method: 'POST',
            headers: this.headers,
            body: JSON.stringify({ since: '', changes }),
        }));
    }

    pushRecords(table, ...ids) {
        return this.push(inserts(table, ids));
    }

    async pull(collection, since = '1970-01-01T00:00:00.000Z') {
        const query = new URLSearchParams({ collection, since });
        return this.#answerOf(await fetch(`${this.url}/pull?${query}`, { headers: this.headers }));
    }

    // The changes of all pages from `since` on.
    async pullAll(collection, since) {
        const changes = [];
        for (let more = true, cursor = since; more;) {
            const page = await this.pull(collection, cursor);
            changes.push(...page.serverChanges);
            cursor = page.syncedUntil;
            more = page.hasMore ?? false;
        }
        return changes;
    }

    async #answerOf(response) {
        const text = await response.text();
        assert.equal(response.status, 200, text);
        return JSON.parse(text);
    }
}

// Makes a user a member of these spaces and of no others.
export async function join(user, ...spaces) {
    const memberships = spaces.map((organizationId) => ({ organizationId, role: 'member' }));
    const response = await fetch(`${required('MANA_TEST_IDENTITY_URL')}/control`, {
        method: 'POST',
        body: JSON.stringify({ memberships: { [user.name]: memberships } }),
    });
    assert.equal(response.status, 200);
}

export async function newUser(seconds) {
    const name = fresh('user');
    const token = await tokenOf(name, seconds);
    return { name, token, device: (clientId, ofApp) => new Device(token, clientId, ofApp) };
}

// Inserts that claim to have been made a moment ago.
export function inserts(table, ids) {
    return ids.map((id) => ({ table, id, op: 'insert', data: { title: `the ${id}`, updatedAt: timeFromNow(-1000) } }));
}

export function inSpace(space, changes) {
    return changes.map((change) => ({ ...change, spaceId: space }));
}

export function idsOf(changes) {
    return changes.map((change) => change.id);
}

export function numbered(name, count) {
    return Array.from({ length: count }, (_, i) => `${name}${i}`);
}

// A user whose phone has pushed 2,500 records into two tables by turns, in runs of 250.
export async function userWithBacklog() {
    const user = await newUser();
    const runs = numbered('run', 10).map((run, i) => inserts(i % 2 ? 'lists' : 'tasks', numbered(`${run}-`, 250)));
    await user.device('phone').push(runs.flat());
    return user;
}

// Pushes of which the notifications are more than the socket of a client that does not read can hold: 800 kB, where
// a unix socket holds 200. Returns the names of the tables.
export async function pushMoreThanFits(device) {
    const tables = numbered('table', 80).map((table) => table.padEnd(190, 'x'));
    for (let i = 0; i < pushesThatDoNotFit; ++i) {
        await device.push(tables.flatMap((table) => inserts(table, [`r${i}`])));
    }
    return tables;
}
