// mana-sync-hub under a test's control: beside the stack's own, with the same settings and a socket of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { patience, required, stackSettings, until, within } from './environment.mjs';
import { ask } from './stack.mjs';

export class HubProcess {
    #child;
    #front;
    #folder = mkdtempSync(join(tmpdir(), 'mana-'));
    #log = join(this.#folder, 'log');
    socket = join(this.#folder, 'hub.sock');

    #settings;

    constructor(settings) {
        this.#settings = settings;
    }

    // Answers, and ends at the latest with the test. `settings` win over those of the stack.
    static async start(test, settings = {}) {
        const hub = new HubProcess(settings);
        test.after(() => hub.#remove());
        await hub.#openFront();
        await hub.run();
        return hub;
    }

    get ws() {
        return `ws+unix:${this.socket}:/ws`;
    }

    // Starts the program, again where it has ended, on the same socket.
    async run() {
        const log = openSync(this.#log, 'a');
        // The mark by which ./dev finds what it must end, should this process be killed.
        const mark = { MANA_SYNC_INSTANCE: required('MANA_TEST_RUN_DIR') };
        this.#child = spawn(required('MANA_TEST_HUB_PROGRAM'), {
            env: { ...stackSettings(), ...mark, ...this.#settings, HUB_SOCKET: this.socket },
            stdio: ['ignore', log, log],
        });
        closeSync(log);
        this.ended = once(this.#child, 'exit').then(([code, signal]) => ({ code, signal }));
        await until('the hub answers', () => this.#answers());
    }

    signal(name) {
        this.#child.kill(name);
    }

    // How it ended: {code, signal}.
    end(milliseconds = patience) {
        return within(milliseconds, 'the end of the hub', this.ended);
    }

    async health() {
        return (await ask('/health', { socketPath: this.socket })).json();
    }

    async #answers() {
        if (this.#child.exitCode !== null) {
            throw new Error(`the hub ended at its start: ${readFileSync(this.#log)}`);
        }
        return this.health().catch(() => false);
    }

    // fetch knows no unix sockets: a port that passes all bytes on stands where nginx would.
    async #openFront() {
        this.#front = net.createServer((client) => {
            const upstream = net.connect(this.socket);
            client.pipe(upstream).pipe(client);
            client.on('error', () => upstream.destroy());
            upstream.on('error', () => client.destroy());
            client.on('close', () => upstream.destroy());
            upstream.on('close', () => client.destroy());
        });
        this.#front.listen(0, '127.0.0.1');
        await once(this.#front, 'listening');
        this.http = `http://127.0.0.1:${this.#front.address().port}`;
    }

    async #remove() {
        this.signal('SIGKILL');
        await this.ended;
        this.#front.close();
        rmSync(this.#folder, { recursive: true });
    }
}
