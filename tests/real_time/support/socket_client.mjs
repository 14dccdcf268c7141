// A browser tab's WebSocket: messages that can be awaited, and how the connection ended.
import assert from 'node:assert/strict';

import { patience, within } from './environment.mjs';
import { Inbox } from './inbox.mjs';
import { WebSocket } from './packages.mjs';
import { stack, textOf } from './stack.mjs';

// The handshake was answered with something else than 101.
class HandshakeRefused extends Error {
    constructor(status, text) {
        super(`the handshake was answered with ${status}: ${text}`);
        this.status = status;
        this.text = text;
    }
}

export class SocketClient {
    #socket;
    #messages;

    // Of one app or, where `app` is empty, of all. `protocols` are offered; `options` are those of the package's
    // WebSocket. Ends at the latest with the test.
    static async open(test, { at = stack, app = '', ...options } = {}) {
        const client = new SocketClient(app ? `${at.ws}/${app}` : at.ws, options);
        test.after(() => client.#socket.terminate());
        await within(patience, `a WebSocket of ${at.ws}`, client.opened);
        return client;
    }

    // Open, and told of the pushes of the token's user.
    static async authenticated(test, token, { clientId, ...where } = {}) {
        const client = await SocketClient.open(test, where);
        await client.authenticate(token, clientId);
        return client;
    }

    constructor(url, { protocols = [], ...options }) {
        this.#socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...options });
        this.#messages = new Inbox(`WebSocket ${url}`);
        this.#socket.on('message', (data) => this.#messages.put(JSON.parse(data)));
        this.opened = new Promise((resolve, reject) => {
            this.#socket.on('open', resolve);
            this.#socket.on('error', reject);
            this.#socket.on('unexpected-response', async (_, response) => {
                reject(new HandshakeRefused(response.statusCode, await textOf(response)));
            });
        });
        this.ended = new Promise((resolve) => {
            this.#socket.on('close', (code, reason) => resolve({ code, reason: reason.toString(), at: Date.now() }));
        });
    }

    send(message) {
        this.sendRaw(JSON.stringify(message));
    }

    // Text in a text frame, a Buffer in a binary one.
    sendRaw(data) {
        this.#socket.send(data);
    }

    async authenticate(token, clientId) {
        this.send({ type: 'auth', token, clientId });
        assert.deepEqual(await this.next(), { type: 'auth-ok' });
    }

    next(milliseconds) {
        return this.#messages.take(milliseconds);
    }

    // Asks for a pong, which must be the next message.
    async ping() {
        this.send({ type: 'ping' });
        assert.deepEqual(await this.next(), { type: 'pong' });
    }

    // What is told up to the first message that names the table, that one included.
    toldUntil(table, milliseconds) {
        return this.#messages.takeUntil((message) => message.tables?.includes(table), milliseconds);
    }

    // How it ended: {code, reason}.
    async end(milliseconds = patience) {
        const { code, reason } = await within(milliseconds, 'the end of the WebSocket', this.ended);
        return { code, reason };
    }

    // Between the two nothing is read, so that what is sent piles up on the other side.
    stopReading() {
        this.#socket._socket.pause();
    }

    readOn() {
        this.#socket._socket.resume();
    }
}

// The tables that messages name, each once, sorted.
export function tablesOf(messages) {
    return [...new Set(messages.flatMap((message) => message.tables ?? []))].sort();
}
