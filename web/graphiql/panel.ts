import { fetchSample, SAMPLES, type Sample } from '../samples.ts';
import type { Supply } from './supplying-fetch.ts';

/** The strip under the variables: which files are sent, and which prediction `$id` is. */
export interface Panel extends Supply {
  element: HTMLElement;
}

/** Creates the strip; the caller inserts it. */
export function createPanel(): Panel {
  let files: readonly File[] = [];
  let lastId: string | undefined;

  const { element, chooser, choose, chosen, samples, hint, id } = makeElements();

  const show = () => {
    chosen.replaceChildren(
      ...files.map((file) =>
        makeFileItem(file, () => {
          setFiles(files.filter((other) => other !== file));
          // The button that had the focus is gone.
          choose.focus();
        }),
      ),
    );
    hint.textContent =
      files.length === 0
        ? 'Sent for required Upload variables without a value.'
        : `Sent for the required ${files.length === 1 ? 'Upload variable' : 'Upload variables'} without a value.`;
    id.textContent = lastId === undefined ? '' : `$id, if it has no value: ${lastId}`;
    id.hidden = lastId === undefined;
  };
  const setFiles = (next: readonly File[]) => {
    files = next;
    show();
  };
  const addSample = async (sample: Sample) => {
    const file = await fetchSample(sample).catch(() => undefined);
    if (file) setFiles([...files, file]);
    else hint.textContent = `${sample.name} could not be loaded. Try again.`;
  };

  for (const sample of SAMPLES) {
    const button = make('button', { type: 'button', textContent: sample.name });
    button.onclick = () => void addSample(sample);
    samples.append(button);
  }
  choose.onclick = () => chooser.click();
  chooser.onchange = () => {
    setFiles([...files, ...(chooser.files ?? [])]);
    chooser.value = '';
  };
  show();

  return {
    element,
    async takeFiles() {
      if (files.length > 0) return files;
      chooser.click();
      await new Promise<void>((resolve, reject) => {
        chooser.addEventListener('change', () => resolve(), { once: true });
        chooser.addEventListener('cancel', () => reject(new Error('No file was chosen.')), { once: true });
      });
      return files;
    },
    getLastId: () => lastId,
    setLastId(next) {
      lastId = next;
      show();
    },
  };
}

function makeElements() {
  const chooser = make('input', { type: 'file', multiple: true, hidden: true, accept: 'image/*' });
  chooser.id = 'upload-chooser';
  const chosen = make('ul', { className: 'upload-files' });
  const choose = make('button', { type: 'button', className: 'upload-choose', textContent: 'Choose files…' });
  const id = make('p', { className: 'upload-id' });
  const title = make('h2', { textContent: 'Files' });
  const hint = make('p', { className: 'upload-hint' });
  const samples = make('div', { className: 'upload-samples' });
  samples.append(make('span', { textContent: 'or' }));
  const bar = make('div', { className: 'upload-bar' });
  bar.append(title, choose, samples, hint);
  const element = make('section', { className: 'upload-panel', ariaLabel: 'Files for Upload variables' });
  element.append(bar, chosen, id, chooser);
  // The editor's shortcuts must not apply to what is typed here.
  element.addEventListener('keydown', (event) => event.stopPropagation());
  return { element, chooser, choose, chosen, samples, hint, id };
}

/** A chosen file: its picture, its name, and a button that removes it. */
function makeFileItem(file: File, onRemove: () => void): HTMLElement {
  const picture = make('img', { src: URL.createObjectURL(file), alt: '' });
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => {
    URL.revokeObjectURL(picture.src);
    picture.hidden = true;
  };
  const remove = make('button', { type: 'button', textContent: '×', ariaLabel: `Remove ${file.name}` });
  remove.onclick = onRemove;
  const item = make('li', {});
  item.append(picture, make('span', { textContent: file.name }), remove);
  return item;
}

function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Partial<HTMLElementTagNameMap[Tag]>,
): HTMLElementTagNameMap[Tag] {
  return Object.assign(document.createElement(tag), properties);
}
