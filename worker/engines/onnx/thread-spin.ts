/**
 * Session options with which threads of onnxruntime spin only briefly while they wait for work. By default, those of small models take several times
 * the CPU of their operators, which decoding and other processes need.
 */
export const SHORT_SPIN = {
  session: { intra_op: { spin_duration_us: '200' }, force_spinning_stop: '1' },
} as const;
