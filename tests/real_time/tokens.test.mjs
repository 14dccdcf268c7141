// Tokens that open no WebSocket, and an issuer that is slow.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, after, describe, it } from 'node:test';

import { fresh, until } from './support/environment.mjs';
import { HubProcess } from './support/hub_process.mjs';
import { Issuer, secondsFromNow } from './support/issuer.mjs';
import { SocketClient } from './support/socket_client.mjs';

// A hub that goes by this issuer's keys alone, and shares them with nobody.
async function hubOf(test, issuer) {
    const folder = mkdtempSync(join(tmpdir(), 'mana-'));
    test.after(() => rmSync(folder, { recursive: true }));
    return HubProcess.start(test, { JWKS_URL: issuer.url, KEYS_FILE: join(folder, 'keys.json') });
}

const forged = {
    'signed by nobody (alg none)': (issuer) => `${issuer.textToSign({ header: { alg: 'none' } })}.`,
    'that says alg none, signed well': (issuer) => issuer.token({ header: { alg: 'none' } }),
    'signed with the public key for a secret': (issuer) => issuer.tokenSignedWithThePublicKey(),
    'that names another algorithm': (issuer) => issuer.token({ header: { alg: 'RS256' } }),
    'whose alg is a number': (issuer) => issuer.token({ header: { alg: 1 } }),
    'whose typ is a list': (issuer) => issuer.token({ header: { typ: ['JWT'] } }),
    'with a critical header': (issuer) => issuer.token({ header: { crit: ['exp'] } }),
    'without a kid': (issuer) => issuer.token({ header: { kid: undefined } }),
    'of an unknown kid': (issuer) => issuer.token({ header: { kid: fresh('kid') } }),
    'signed with another key': (issuer) => issuer.tokenOfAnotherKey(),
    'with the claims of another': (issuer) => {
        const [header, , signature] = issuer.token().split('.');
        return [header, issuer.textToSign().split('.')[1], signature].join('.');
    },
    'with a signature that is too short': (issuer) => issuer.token().slice(0, -4),
    'with padding': (issuer) => `${issuer.token()}==`,
    'that has expired': (issuer) => issuer.token({ claims: { exp: secondsFromNow(-120) } }),
    'that never expires': (issuer) => issuer.token({ claims: { exp: undefined } }),
    'that expires at a word': (issuer) => issuer.token({ claims: { exp: 'never' } }),
    'that is not valid yet': (issuer) => issuer.token({ claims: { nbf: secondsFromNow(120) } }),
    'of nobody': (issuer) => issuer.token({ claims: { sub: undefined } }),
    'of a user without a name': (issuer) => issuer.token({ claims: { sub: '' } }),
    'of a user that is a number': (issuer) => issuer.token({ claims: { sub: 7 } }),
    'with a fourth part': (issuer) => `${issuer.token()}.e30`,
    'of 12,000 bytes': (issuer) => issuer.token({ claims: { much: 'x'.repeat(8_500) } }),
};

describe('a token', { concurrency: true }, () => {
    let issuer;
    let hub;
    const atEnd = [];
    before(async () => {
        const lifetime = { after: (end) => atEnd.unshift(end) };
        issuer = await Issuer.start(lifetime);
        hub = await hubOf(lifetime, issuer);
    });
    after(async () => {
        for (const end of atEnd) {
            await end();
        }
    });

    it('of the issuer opens a connection', async (test) => {
        await SocketClient.authenticated(test, issuer.token(), { at: hub });
    });

    for (const [kind, forge] of Object.entries(forged)) {
        it(`${kind} opens none`, async (test) => {
            const socket = await SocketClient.open(test, { at: hub });
            socket.send({ type: 'auth', token: forge(issuer) });
            assert.equal((await socket.next()).type, 'error');
            assert.deepEqual(await socket.end(), { code: 1008, reason: 'token_refused' });
        });
    }
});

describe('an issuer that is slow', () => {
    it('lets nobody wait whose key is known', async (test) => {
        const issuer = await Issuer.start(test);
        const hub = await hubOf(test, issuer);
        await SocketClient.authenticated(test, issuer.token(), { at: hub });

        issuer.holdBack();
        const strangers = [];
        await until('the hub asks for a key that it does not know', async () => {
            const stranger = await SocketClient.open(test, { at: hub });
            stranger.send({ type: 'auth', token: issuer.token({ header: { kid: fresh('kid') } }) });
            strangers.push(stranger);
            return issuer.waiting > 0;
        });
        await SocketClient.authenticated(test, issuer.token(), { at: hub });
        assert.equal(issuer.waiting, 1, 'the issuer has answered meanwhile');
        issuer.answerAgain();
        await Promise.all(strangers.map((stranger) => stranger.end()));
    });
});
