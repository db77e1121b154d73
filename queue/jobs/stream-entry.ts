/** Entries of the model's streams: their fields, and the jobs in them. */
import { ANONYMOUS_TENANT, JobOptions, jsonText } from '../contract.ts';

export interface ClaimedJob {
  /** Its entry on the stream. */
  entryId: string;
  stream: string;
  jobId: string;
  /** The tenant that it belongs to. */
  tenant: string;
  /** Pixels: height x width x channels, uint8. A view into the reply, valid while it is held. */
  image: Buffer;
  options: JobOptions;
  /** An attempt at it was lost or failed: it runs alone, so that it cannot fail other images of a batch. */
  redelivered: boolean;
  /** False if the entry cannot be parsed: it is started and settled UNREADABLE_JOB, but not run. */
  readable: boolean;
}

export type Entry = [id: Buffer, fields: Buffer[] | null];

/** Options as entries hold them: JSON. */
export const OptionsText = jsonText(JobOptions, 'job options');

/**
 * An entry without its pixels: those of a job from a tenant's backlog are in the job's hash.
 */
export interface BareJob extends Omit<ClaimedJob, 'image'> {
  image: Buffer | undefined;
}

/** @param imageBytes length of the pixels of a readable job */
export function addPixels(job: BareJob, image: Buffer, imageBytes: number): ClaimedJob {
  return { ...job, image, readable: job.readable && image.length === imageBytes };
}

/** An entry's values by name. Redis sends them as a list of names and values, and null if the entry was deleted. */
export function readFields(fields: Buffer[] | null): Map<string, Buffer> {
  const values = new Map<string, Buffer>();
  for (let i = 0; fields && i + 1 < fields.length; i += 2) values.set(fields[i]!.toString(), fields[i + 1]!);
  return values;
}

/** Never throws: an entry that cannot be read is a job with `readable: false`, which ends UNREADABLE_JOB. */
export function parseEntry(stream: string, [id, fields]: Entry): BareJob {
  const values = readFields(fields);
  const options = OptionsText.safeParse(values.get('options')?.toString());
  return {
    entryId: id.toString(),
    stream,
    jobId: values.get('job')?.toString() ?? '',
    tenant: values.get('tenant')?.toString() ?? ANONYMOUS_TENANT,
    image: values.get('image'),
    options: options.success ? options.data : { heatmap: false },
    redelivered: values.get('redelivered')?.toString() === '1',
    readable: options.success && values.has('job'),
  };
}
