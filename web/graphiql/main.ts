import { createKeyFetch } from './key-fetch.ts';
import { TABS } from './operations.ts';
import { createPanel } from './panel.ts';
import { createSupplyingFetch } from './supplying-fetch.ts';
import './panel.css';

declare global {
  /** Of the script that the build writes next to this one. */
  var YogaGraphiQL: { renderYogaGraphiQL(root: Element, options: object): void };
  var MonacoEnvironment: { globalAPI: boolean; getWorkerUrl(moduleId: string, label: string): string };
  /** The folder and name prefix of GraphiQL's files. */
  const GRAPHIQL_FILES: string;
}

globalThis.MonacoEnvironment = {
  globalAPI: false,
  getWorkerUrl: (_moduleId, label) => `${GRAPHIQL_FILES}.${label}.worker.js`,
};

const panel = createPanel();
globalThis.fetch = createSupplyingFetch(createKeyFetch(globalThis.fetch.bind(globalThis), askForKey), panel);

function askForKey(reason: string | undefined): string | undefined {
  const text = reason
    ? `${reason} Enter another API key, or cancel.`
    : 'This server requires an API key. GraphiQL needs one with the scope operate.';
  return prompt(text)?.trim() || undefined;
}

const root = document.getElementById('root')!;
globalThis.YogaGraphiQL.renderYogaGraphiQL(root, {
  title: 'InferQL',
  endpoint: '/graphql',
  subscriptionsProtocol: 'GRAPHQL_SSE',
  additionalHeaders: { 'x-graphql-yoga-csrf': 'graphiql' },
  defaultTabs: TABS,
});

/** GraphiQL may render its editors at any time, and again: the strip follows them. */
const keepPanel = () => {
  const place = root.querySelector('.graphiql-editors');
  if (place && panel.element.parentElement !== place) place.append(panel.element);
};
new MutationObserver(keepPanel).observe(root, { childList: true, subtree: true });
keepPanel();
