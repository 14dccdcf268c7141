// A site's own nginx before ours, which knows nothing of mana-sync: it buffers, as nginx does by default.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { until } from './environment.mjs';
import { stack } from './stack.mjs';

function configuration(folder, socket) {
    const scratch = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((kind) => `    ${kind}_temp_path ${folder}/${kind};`).join('\n');
    return `daemon off;
pid ${folder}/pid;
error_log ${folder}/error.log;
events {}
http {
    access_log off;
${scratch}
    server {
        listen unix:${socket};
        location / {
            proxy_pass ${stack.http};
        }
    }
}
`;
}

function answers(socket) {
    return new Promise((resolve) => {
        http.get({ socketPath: socket, path: '/health' }, (response) => {
            response.resume();
            resolve(response.statusCode === 200);
        }).on('error', () => resolve(false));
    });
}

// Its socket. Ends at the latest with the test.
export async function anotherProxy(test) {
    const folder = mkdtempSync(join(tmpdir(), 'mana-'));
    const socket = join(folder, 'proxy.sock');
    writeFileSync(join(folder, 'nginx.conf'), configuration(folder, socket));
    const nginx = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], {
        stdio: 'ignore',
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    });
    test.after(() => {
        nginx.kill();
        rmSync(folder, { recursive: true, force: true });
    });
    await until('the other proxy answers', () => answers(socket));
    return socket;
}
