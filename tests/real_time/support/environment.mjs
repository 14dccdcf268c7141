// What ./dev test tells these tests, and what they all need: names that no other test has used, times, and waits
// that end.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export const patience = 10_000;

export function required(name) {
    const value = process.env[name];
    if (!value) {
        throw new Error(`${name} is not set: run this test by ./dev test`);
    }
    return value;
}

export function fresh(name) {
    return `${name}-${randomUUID()}`;
}

// '2026-01-31T09:00:00.123Z'
export function timeFromNow(milliseconds = 0) {
    return new Date(Date.now() + milliseconds).toISOString();
}

// The cursor of a client that did not begin at the epoch.
export function cursorOfNow() {
    return timeFromNow().replace('Z', '000Z');
}

// What the programs of the stack were started with.
export function stackSettings() {
    const lines = readFileSync(`${required('MANA_TEST_RUN_DIR')}/settings`, 'utf8').split('\n');
    return Object.fromEntries(lines.filter(Boolean).map((line) => {
        const [name, ...value] = line.split('=');
        return [name, value.join('=')];
    }));
}

// The promise's value; an error that names `what` where it does not come in time.
export async function within(milliseconds, what, promise) {
    const late = new AbortController();
    const alarm = pause(milliseconds, undefined, { signal: late.signal }).then(() => {
        throw new Error(`${what}: still not after ${milliseconds} ms`);
    });
    alarm.catch(() => {});
    try {
        return await Promise.race([promise, alarm]);
    } finally {
        late.abort();
    }
}

// Asks again and again until `holds` answers with something true, and returns that.
export async function until(what, holds, milliseconds = patience) {
    const end = Date.now() + milliseconds;
    for (;;) {
        const found = await holds();
        if (found) {
            return found;
        }
        if (Date.now() >= end) {
            throw new Error(`${what}: still not after ${milliseconds} ms`);
        }
        await pause(10);
    }
}
