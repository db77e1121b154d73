import { testHost } from './host.fixture.ts';

testHost({ name: 'Yoga', hasWebSockets: false });
