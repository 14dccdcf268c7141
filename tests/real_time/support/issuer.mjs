// An issuer of tokens under a test's control: its key set can be held back, and its tokens can be anything.
import { createHmac, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

function encode(part) {
    return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
}

export function secondsFromNow(seconds) {
    return Math.floor(Date.now() / 1000) + seconds;
}

export class Issuer {
    #server;
    #held; // answers that wait, while there are to be none
    #keys = generateKeyPairSync('ed25519');
    #others = generateKeyPairSync('ed25519');
    kid = randomUUID();

    // Ends with the test.
    static async start(test) {
        const issuer = new Issuer();
        issuer.#server = createServer((_, response) => issuer.#answer(response));
        test.after(() => {
            issuer.answerAgain();
            issuer.#server.close();
            issuer.#server.closeAllConnections();
        });
        issuer.#server.listen(0, '127.0.0.1');
        await once(issuer.#server, 'listening');
        issuer.url = `http://127.0.0.1:${issuer.#server.address().port}/jwks`;
        return issuer;
    }

    // From now on whoever asks for the keys waits.
    holdBack() {
        this.#held = [];
    }

    // How many wait.
    get waiting() {
        return this.#held?.length ?? 0;
    }

    answerAgain() {
        const held = this.#held ?? [];
        this.#held = undefined;
        held.forEach((response) => this.#answer(response));
    }

    // A good token, but for what `header` and `claims` say else.
    token({ header = {}, claims = {} } = {}) {
        const text = this.textToSign({ header, claims });
        return `${text}.${sign(null, Buffer.from(text), this.#keys.privateKey).toString('base64url')}`;
    }

    tokenOfAnotherKey() {
        const text = this.textToSign();
        return `${text}.${sign(null, Buffer.from(text), this.#others.privateKey).toString('base64url')}`;
    }

    // HS256 with what everybody knows for its secret.
    tokenSignedWithThePublicKey() {
        const text = this.textToSign({ header: { alg: 'HS256' } });
        const secret = Buffer.from(this.#keys.publicKey.export({ format: 'jwk' }).x, 'base64url');
        return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
    }

    textToSign({ header = {}, claims = {} } = {}) {
        const usualHeader = { alg: 'EdDSA', typ: 'JWT', kid: this.kid };
        const usualClaims = { sub: `user-${randomUUID()}`, exp: secondsFromNow(3600) };
        return `${encode({ ...usualHeader, ...header })}.${encode({ ...usualClaims, ...claims })}`;
    }

    #answer(response) {
        if (this.#held) {
            this.#held.push(response);
            response.on('close', () => this.#held?.splice(this.#held.indexOf(response), 1));
            return;
        }
        const { x } = this.#keys.publicKey.export({ format: 'jwk' });
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify({ keys: [{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', kid: this.kid, x }] }));
    }
}
