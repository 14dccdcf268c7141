// What came to a client, in its order, for a test that awaits it.
import { patience, within } from './environment.mjs';

export class Inbox {
    #what;
    #arrived = [];
    #waiting = [];

    constructor(what) {
        this.#what = what;
    }

    put(item) {
        const reader = this.#waiting.shift();
        if (reader) {
            reader(item);
        } else {
            this.#arrived.push(item);
        }
    }

    // The next one, which is taken out.
    async take(milliseconds = patience) {
        if (this.#arrived.length > 0) {
            return this.#arrived.shift();
        }
        return within(milliseconds, `nothing more came (${this.#what})`, new Promise((resolve) => {
            this.#waiting.push(resolve);
        }));
    }

    // All up to and including the first of which `isLast` is true; it is also handed what came before.
    async takeUntil(isLast, milliseconds = patience) {
        const taken = [];
        const end = Date.now() + milliseconds;
        do {
            taken.push(await this.take(Math.max(end - Date.now(), 1)));
        } while (!isLast(taken.at(-1), taken));
        return taken;
    }

    // What is there now, without waiting.
    takeAll() {
        return this.#arrived.splice(0);
    }
}
