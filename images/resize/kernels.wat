;; The two passes of fixed.ts with 128-bit SIMD. Bytes are widened to 32-bit lanes, multiplied by fixed-point weights and added up,
;; which is exact; the sums are shifted, and narrowed with saturation. Callers lay out the memory, with 16 spare bytes behind each row.
(module
  (memory (export "memory") 1)

  ;; Four rows at once, which share weights and loops: $count output pixels of 3 or 4 channels each. A pixel is read and written as 4
  ;; bytes; of 3 channels the fourth byte belongs to the next pixel and is overwritten by it. $pitch, $targetPitch: bytes from row to row,
  ;; of which at least one is spare in a target. $starts: byte offset of the first source pixel per output pixel; $counts: taps per output
  ;; pixel; $weights: $stride bytes per output pixel.
  (func (export "columns")
    (param $source i32) (param $pitch i32) (param $target i32) (param $targetPitch i32) (param $channels i32) (param $count i32)
    (param $starts i32) (param $counts i32) (param $weights i32) (param $stride i32) (param $bits i32)
    (local $from i32) (local $weight i32) (local $end i32) (local $half v128) (local $w v128)
    (local $at2 i32) (local $at3 i32) (local $to2 i32) (local $to3 i32)
    (local $sum0 v128) (local $sum1 v128) (local $sum2 v128) (local $sum3 v128)
    (local.set $half (i32x4.splat (i32.shl (i32.const 1) (i32.sub (local.get $bits) (i32.const 1)))))
    (local.set $at2 (i32.mul (local.get $pitch) (i32.const 2)))
    (local.set $at3 (i32.mul (local.get $pitch) (i32.const 3)))
    (local.set $to2 (i32.mul (local.get $targetPitch) (i32.const 2)))
    (local.set $to3 (i32.mul (local.get $targetPitch) (i32.const 3)))
    (loop $pixels
      (local.set $sum0 (local.get $half))
      (local.set $sum1 (local.get $half))
      (local.set $sum2 (local.get $half))
      (local.set $sum3 (local.get $half))
      (local.set $from (i32.add (local.get $source) (i32.load (local.get $starts))))
      (local.set $weight (local.get $weights))
      (local.set $end (i32.add (local.get $weights) (i32.shl (i32.load (local.get $counts)) (i32.const 2))))
      (loop $taps
        (local.set $w (v128.load32_splat (local.get $weight)))
        (local.set $sum0
          (i32x4.add
            (local.get $sum0)
            (i32x4.mul
              (local.get $w)
              (i32x4.extend_low_i16x8_u (i16x8.extend_low_i8x16_u (v128.load32_zero (local.get $from)))))))
        (local.set $sum1
          (i32x4.add
            (local.get $sum1)
            (i32x4.mul
              (local.get $w)
              (i32x4.extend_low_i16x8_u (i16x8.extend_low_i8x16_u (v128.load32_zero (i32.add (local.get $from) (local.get $pitch))))))))
        (local.set $sum2
          (i32x4.add
            (local.get $sum2)
            (i32x4.mul
              (local.get $w)
              (i32x4.extend_low_i16x8_u (i16x8.extend_low_i8x16_u (v128.load32_zero (i32.add (local.get $from) (local.get $at2))))))))
        (local.set $sum3
          (i32x4.add
            (local.get $sum3)
            (i32x4.mul
              (local.get $w)
              (i32x4.extend_low_i16x8_u (i16x8.extend_low_i8x16_u (v128.load32_zero (i32.add (local.get $from) (local.get $at3))))))))
        (local.set $from (i32.add (local.get $from) (local.get $channels)))
        (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
        (br_if $taps (i32.lt_u (local.get $weight) (local.get $end))))
      (local.set $sum0 (i32x4.shr_s (local.get $sum0) (local.get $bits)))
      (local.set $sum0 (i16x8.narrow_i32x4_s (local.get $sum0) (local.get $sum0)))
      (v128.store32_lane 0 (local.get $target) (i8x16.narrow_i16x8_u (local.get $sum0) (local.get $sum0)))
      (local.set $sum1 (i32x4.shr_s (local.get $sum1) (local.get $bits)))
      (local.set $sum1 (i16x8.narrow_i32x4_s (local.get $sum1) (local.get $sum1)))
      (v128.store32_lane 0 (i32.add (local.get $target) (local.get $targetPitch)) (i8x16.narrow_i16x8_u (local.get $sum1) (local.get $sum1)))
      (local.set $sum2 (i32x4.shr_s (local.get $sum2) (local.get $bits)))
      (local.set $sum2 (i16x8.narrow_i32x4_s (local.get $sum2) (local.get $sum2)))
      (v128.store32_lane 0 (i32.add (local.get $target) (local.get $to2)) (i8x16.narrow_i16x8_u (local.get $sum2) (local.get $sum2)))
      (local.set $sum3 (i32x4.shr_s (local.get $sum3) (local.get $bits)))
      (local.set $sum3 (i16x8.narrow_i32x4_s (local.get $sum3) (local.get $sum3)))
      (v128.store32_lane 0 (i32.add (local.get $target) (local.get $to3)) (i8x16.narrow_i16x8_u (local.get $sum3) (local.get $sum3)))
      (local.set $target (i32.add (local.get $target) (local.get $channels)))
      (local.set $starts (i32.add (local.get $starts) (i32.const 4)))
      (local.set $counts (i32.add (local.get $counts) (i32.const 4)))
      (local.set $weights (i32.add (local.get $weights) (local.get $stride)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br_if $pixels (local.get $count))))

  ;; One output row from $taps rows of $pitch bytes each, a multiple of 16. $weights: one per row.
  (func (export "rows")
    (param $source i32) (param $target i32) (param $pitch i32) (param $weights i32) (param $taps i32) (param $bits i32)
    (local $from i32) (local $weight i32) (local $end i32) (local $last i32) (local $half v128)
    (local $w v128) (local $bytes v128) (local $low v128) (local $high v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $half (i32x4.splat (i32.shl (i32.const 1) (i32.sub (local.get $bits) (i32.const 1)))))
    (local.set $end (i32.add (local.get $weights) (i32.shl (local.get $taps) (i32.const 2))))
    (local.set $last (i32.add (local.get $source) (local.get $pitch)))
    (loop $blocks
      (local.set $a (local.get $half))
      (local.set $b (local.get $half))
      (local.set $c (local.get $half))
      (local.set $d (local.get $half))
      (local.set $from (local.get $source))
      (local.set $weight (local.get $weights))
      (loop $rows
        (local.set $w (v128.load32_splat (local.get $weight)))
        (local.set $bytes (v128.load (local.get $from)))
        (local.set $low (i16x8.extend_low_i8x16_u (local.get $bytes)))
        (local.set $high (i16x8.extend_high_i8x16_u (local.get $bytes)))
        (local.set $a (i32x4.add (local.get $a) (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (local.get $low)))))
        (local.set $b (i32x4.add (local.get $b) (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (local.get $low)))))
        (local.set $c (i32x4.add (local.get $c) (i32x4.mul (local.get $w) (i32x4.extend_low_i16x8_u (local.get $high)))))
        (local.set $d (i32x4.add (local.get $d) (i32x4.mul (local.get $w) (i32x4.extend_high_i16x8_u (local.get $high)))))
        (local.set $from (i32.add (local.get $from) (local.get $pitch)))
        (local.set $weight (i32.add (local.get $weight) (i32.const 4)))
        (br_if $rows (i32.lt_u (local.get $weight) (local.get $end))))
      (v128.store
        (local.get $target)
        (i8x16.narrow_i16x8_u
          (i16x8.narrow_i32x4_s (i32x4.shr_s (local.get $a) (local.get $bits)) (i32x4.shr_s (local.get $b) (local.get $bits)))
          (i16x8.narrow_i32x4_s (i32x4.shr_s (local.get $c) (local.get $bits)) (i32x4.shr_s (local.get $d) (local.get $bits)))))
      (local.set $source (i32.add (local.get $source) (i32.const 16)))
      (local.set $target (i32.add (local.get $target) (i32.const 16)))
      (br_if $blocks (i32.lt_u (local.get $source) (local.get $last))))))
