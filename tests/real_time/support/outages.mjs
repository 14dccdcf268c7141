// What goes wrong around the hub, and what Redis has been told meanwhile.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { required, until } from './environment.mjs';

const run = promisify(execFile);
const redisSocket = () => required('MANA_TEST_REDIS_URL').replace('unix://', '');

export async function redis(...words) {
    const { stdout } = await run('redis-cli', ['-s', redisSocket(), ...words]);
    const answer = stdout.trim();
    if (/^(ERR|WRONG|NO)/.test(answer)) {
        throw new Error(`Redis refuses ${words.join(' ')}: ${answer}`);
    }
    return answer;
}

// While `work` runs nobody may publish: pushes are committed, and Redis never hears of them.
export async function withoutPublishing(work) {
    await redis('ACL', 'SETUSER', 'default', '-publish', '-xadd');
    try {
        return await work();
    } finally {
        await redis('ACL', 'SETUSER', 'default', '+publish', '+xadd');
    }
}

export function cutSubscriptions() {
    return redis('CLIENT', 'KILL', 'TYPE', 'pubsub');
}

async function asSuperuser(statement) {
    const url = required('MANA_TEST_SUPERUSER_URL');
    const { stdout } = await run('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', url, '-c', statement]);
    return stdout.trim();
}

// Returns how many connections to PostgreSQL there were.
export async function cutHubsFromPostgres() {
    return Number(await asSuperuser(`select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name like 'mana-sync-hub%'`));
}

// Somebody who owns the tables has put something into the rows of a record that no push could.
export async function spoilRows(user, record) {
    const spoilt = await asSuperuser(`update sync_changes set data = '["no object"]'
        where user_id = '${user}' and record_id = '${record}' returning 1`);
    assert.notEqual(spoilt, '');
}

// The newest notifications of the stream, as far as they are about a user.
export async function streamEntriesAbout(user) {
    const lines = await redis('XREVRANGE', 'mana-sync:1:log', '+', '-', 'COUNT', '20');
    return notificationsAbout(user, lines.split('\n'));
}

// Hubs hear of so many pushes of the user, of which the log knows nothing; the last one names a table of its own.
export async function publishMany(user, count, lastTable) {
    const payload = (table) => JSON.stringify({
        v: 1, scope: `u:${user}`, user, app: 'todo', tables: [table], client: 'tool', count: 1, cursor: 'CURSOR',
    });
    const script = `for i = 1, tonumber(ARGV[3]) do
        local payload = ARGV[i == tonumber(ARGV[3]) and 2 or 1]
        redis.call('PUBLISH', 'mana-sync:1:00', (string.gsub(payload, 'CURSOR', ARGV[4] .. string.format('%06dZ', i))))
    end`;
    const second = new Date(Math.random() * Date.now()).toISOString().slice(0, 20); // which no push of others has
    await redis('EVAL', script, '0', payload('tasks'), payload(lastTable), String(count), second);
}

function notificationsAbout(user, lines) {
    return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
        .filter((notification) => notification.user === user);
}

// A tool that listens to all channels.
export class ChannelListener {
    #tool;
    #lines = [];

    // Has subscribed; ends at the latest with the test.
    static async start(test) {
        const listener = new ChannelListener();
        test.after(() => listener.#tool.kill());
        await until('subscribed', () => listener.#lines.includes('psubscribe'));
        return listener;
    }

    constructor() {
        this.#tool = spawn('redis-cli', ['-s', redisSocket(), 'PSUBSCRIBE', 'mana-sync:1:??']);
        createInterface({ input: this.#tool.stdout }).on('line', (line) => this.#lines.push(line));
    }

    // What has been told about a user so far.
    about(user) {
        return notificationsAbout(user, this.#lines);
    }
}
