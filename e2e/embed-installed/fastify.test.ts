import { testHost } from './host.fixture.ts';

testHost({ name: 'Fastify', hasWebSockets: true });
