// Where the stack is that ./dev test started, and HTTP requests of which every header counts.
import http from 'node:http';

import { patience, required, within } from './environment.mjs';

// nginx. A hub of a test's own has the same two addresses (hub_process.mjs).
export const stack = {
    http: required('MANA_TEST_URL'),
    ws: `${required('MANA_TEST_URL').replace('http', 'ws')}/ws`,
};

// `options` are those of node's http.request. Answers with {status, headers, headersOf(name), text, json()}.
export function ask(path, options = {}) {
    return within(patience, `an answer to ${path}`, new Promise((resolve, reject) => {
        const request = http.request(new URL(path, stack.http), { agent: false, ...options });
        request.on('response', async (response) => resolve(answerOf(response, await textOf(response))));
        request.on('error', reject);
        request.end();
    }));
}

// An answer whose body nobody has begun to read. Its connection ends at the latest with the test.
export function headOf(test, path, options = {}) {
    return within(patience, `the head of ${path}`, new Promise((resolve, reject) => {
        const request = http.get(new URL(path, stack.http), { agent: false, ...options }, resolve);
        request.on('error', reject);
        test.after(() => request.destroy());
    }));
}

export async function textOf(response) {
    const parts = [];
    for await (const part of response) {
        parts.push(part);
    }
    return Buffer.concat(parts).toString();
}

function answerOf(response, text) {
    return {
        status: response.statusCode,
        headers: response.headers,
        headersOf: (name) => headersOf(response, name),
        text,
        json: () => JSON.parse(text),
    };
}

// Each value of a header that may have come more than once.
export function headersOf(response, name) {
    const { rawHeaders } = response;
    return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1].toLowerCase() === name);
}
