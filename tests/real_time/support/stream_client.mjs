// A browser app's fetch-based EventSource on /sync/{appId}/stream.
import { app as usualApp } from './device.mjs';
import { patience, within } from './environment.mjs';
import { Inbox } from './inbox.mjs';
import { EventSource } from './packages.mjs';
import { stack } from './stack.mjs';

export function streamPath({ app = usualApp, collections, since, includeOwn } = {}) {
    const query = new URLSearchParams();
    if (collections !== undefined) query.set('collections', collections.join(','));
    if (since !== undefined) query.set('since', since);
    if (includeOwn) query.set('includeOwn', 'true');
    const text = query.toString();
    return `/sync/${app}/stream${text && `?${text}`}`;
}

export class StreamClient {
    #source;
    #pages;
    #lastId = '';

    // Open: the head of the answer has come. `lastEventId` stands for an id that the app kept from an earlier stream.
    // Ends at the latest with the test.
    static async open(test, token, { at = stack, clientId, lastEventId, ...what } = {}) {
        const headers = { Authorization: `Bearer ${token}` };
        if (clientId) headers['X-Client-Id'] = clientId;
        const client = new StreamClient(at.http + streamPath(what), headers, lastEventId);
        test.after(() => client.close());
        await within(patience, 'the head of the stream', client.opened);
        return client;
    }

    constructor(url, headers, lastEventId) {
        this.#pages = new Inbox(`stream ${url}`);
        this.heartbeats = new Inbox(`heartbeats of ${url}`);
        // One for each time that the stream ended or could not be opened; the package then tries again by itself.
        this.interruptions = new Inbox(`interruptions of ${url}`);
        const resumed = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId };
        this.#source = new EventSource(url, {
            fetch: (target, init) => fetch(target, { ...init, headers: { ...resumed, ...init.headers, ...headers } }),
        });
        this.#listen();
    }

    #listen() {
        this.opened = new Promise((resolve, reject) => {
            this.#source.addEventListener('open', resolve, { once: true });
            this.#source.addEventListener('error', (event) => {
                reject(new Error(`the stream did not open: ${event.code ?? ''} ${event.message ?? ''}`));
            }, { once: true });
        });
        this.opened.catch(() => {});
        this.#source.addEventListener('error', ({ code, message }) => {
            this.interruptions.put({ code, message, at: Date.now() });
        });
        this.#source.addEventListener('changes', ({ data, lastEventId: id }) => {
            this.#lastId = id || this.#lastId;
            this.#pages.put({ ...JSON.parse(data), id });
        });
        this.#source.addEventListener('heartbeat', ({ data, lastEventId: id }) => {
            this.heartbeats.put({ data: JSON.parse(data), id });
        });
    }

    // The newest id that came: where another stream goes on.
    get lastId() {
        return this.#lastId;
    }

    // The pages {table, changes, syncedUntil, hasMore, id} up to the one that brings the record, that one included.
    pagesUntil(recordId, milliseconds) {
        const bringsIt = (page) => page.changes.some((change) => change.id === recordId);
        return this.#pages.takeUntil(bringsIt, milliseconds);
    }

    // Pages until so many changes have come.
    pagesOf(count, milliseconds) {
        return this.#pages.takeUntil((_, taken) => changesOf(taken).length >= count, milliseconds);
    }

    close() {
        this.#source.close();
    }
}

export function changesOf(pages) {
    return pages.flatMap((page) => page.changes);
}
