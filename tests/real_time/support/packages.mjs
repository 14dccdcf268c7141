// The clients that are not ours. ES modules do not look where NODE_PATH points, so they are found by hand.
import { createRequire } from 'node:module';

import { required } from './environment.mjs';

const requireFrom = createRequire(`${required('MANA_TEST_NODE_MODULES')}/`);

export const WebSocket = requireFrom('ws');
export const { EventSource } = requireFrom('eventsource');
