/* Multi-step integrate-and-fire neurons over [steps, lanes], lanes contiguous.
 *
 *   H[t] = V[t-1] + (X[t] - V[t-1]) k      (leaky; V[t-1] + X[t] without a leak)
 *   S[t] = H[t] >= threshold
 *   V[t] = S[t] ? 0 : H[t]
 *
 * Every value is rounded as the same equations in torch round it: compile without contraction
 * of products and sums, and without fast-math. Inputs and outputs are float32 or bfloat16; what
 * lies between is float32. Lanes are independent, so a block of them stays in the cache for all
 * steps. The membrane is not kept for the way back but computed again.
 */

#include <stdint.h>
#include <string.h>

#define LANES 64

typedef struct { uint16_t bits; } bf16;

static inline float load_f32(const float *p) { return *p; }
static inline void store_f32(float *p, float v) { *p = v; }

static inline float load_bf16(const bf16 *p) {
    uint32_t u = ((uint32_t)p->bits) << 16;
    float v;
    memcpy(&v, &u, 4);
    return v;
}

/* to nearest, ties to even; what is no number stays none */
static inline void store_bf16(bf16 *p, float v) {
    uint32_t u;
    memcpy(&u, &v, 4);
    uint32_t rounded = (u + 0x7FFFu + ((u >> 16) & 1u)) >> 16;
    p->bits = (uint16_t)((u & 0x7FFFFFFFu) > 0x7F800000u ? 0x7FC0u : rounded);
}

#define CHARGE(v, x) (leaky ? (v) + ((x) - (v)) * k : (v) + (x))

#define KERNELS(TYPE, NAME)                                                                        \
    static inline void forward_block_##NAME(const TYPE *restrict x, TYPE *restrict s, int64_t n,   \
                                            int64_t steps, int64_t lanes, int leaky, float k,      \
                                            float threshold) {                                     \
        float v[LANES];                                                                            \
        for (int64_t i = 0; i < n; i++) v[i] = 0.0f;                                               \
        for (int64_t t = 0; t < steps; t++) {                                                      \
            const TYPE *xt = x + t * lanes;                                                        \
            TYPE *st = s + t * lanes;                                                              \
            for (int64_t i = 0; i < n; i++) {                                                      \
                float h = CHARGE(v[i], load_##NAME(xt + i));                                       \
                int fired = h >= threshold;                                                        \
                store_##NAME(st + i, fired ? 1.0f : 0.0f);                                         \
                v[i] = fired ? 0.0f : h;                                                           \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    void forward_##NAME(const TYPE *x, TYPE *s, int64_t steps, int64_t lanes, int leaky, float k,  \
                        float threshold) {                                                         \
        int64_t at = 0;                                                                            \
        if (leaky)                                                                                 \
            for (; at + LANES <= lanes; at += LANES)                                               \
                forward_block_##NAME(x + at, s + at, LANES, steps, lanes, 1, k, threshold);        \
        else                                                                                       \
            for (; at + LANES <= lanes; at += LANES)                                               \
                forward_block_##NAME(x + at, s + at, LANES, steps, lanes, 0, k, threshold);        \
        if (at < lanes)                                                                            \
            forward_block_##NAME(x + at, s + at, lanes - at, steps, lanes, leaky, k, threshold);   \
    }                                                                                              \
                                                                                                   \
    /* with the membranes of a block in `h`, [steps, LANES]; `of_k` has a value for each lane */   \
    static inline void backward_block_##NAME(                                                      \
        const TYPE *restrict g, const TYPE *restrict x, TYPE *restrict out, float *restrict h,     \
        float *restrict of_k, int64_t n, int64_t steps, int64_t lanes, int leaky, float k,         \
        float threshold, float alpha) {                                                            \
        const float half = alpha / 2.0f, inner = 3.14159265358979323846 * (double)half;            \
        float v[LANES], carried[LANES], sum[LANES];                                                \
        for (int64_t i = 0; i < n; i++) v[i] = carried[i] = sum[i] = 0.0f;                         \
        for (int64_t t = 0; t < steps; t++) {                                                      \
            const TYPE *xt = x + t * lanes;                                                        \
            float *ht = h + t * LANES;                                                             \
            for (int64_t i = 0; i < n; i++) {                                                      \
                float now = CHARGE(v[i], load_##NAME(xt + i));                                     \
                ht[i] = now;                                                                       \
                v[i] = now >= threshold ? 0.0f : now;                                              \
            }                                                                                      \
        }                                                                                          \
        for (int64_t t = steps - 1; t >= 0; t--) {                                                 \
            const TYPE *xt = x + t * lanes, *gt = g + t * lanes;                                   \
            TYPE *ot = out + t * lanes;                                                            \
            const float *ht = h + t * LANES, *before = ht - LANES;                                 \
            for (int64_t i = 0; i < n; i++) {                                                      \
                float u = inner * (ht[i] - threshold);                                             \
                float down = half / (1.0f + u * u) * load_##NAME(gt + i);                          \
                down += ht[i] >= threshold ? 0.0f : carried[i];                                    \
                float into = leaky ? down * k : down;                                              \
                store_##NAME(ot + i, into);                                                        \
                carried[i] = leaky ? down - into : down;                                           \
                if (leaky) {                                                                       \
                    float last = t > 0 ? (before[i] >= threshold ? 0.0f : before[i]) : 0.0f;       \
                    sum[i] += down * (load_##NAME(xt + i) - last);                                 \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        for (int64_t i = 0; i < n; i++) of_k[i] = sum[i];                                          \
    }                                                                                              \
                                                                                                   \
    void backward_##NAME(const TYPE *g, const TYPE *x, TYPE *out, float *h, float *of_k,           \
                         int64_t steps, int64_t lanes, int leaky, float k, float threshold,        \
                         float alpha) {                                                            \
        int64_t at = 0;                                                                            \
        if (leaky)                                                                                 \
            for (; at + LANES <= lanes; at += LANES)                                               \
                backward_block_##NAME(g + at, x + at, out + at, h, of_k + at, LANES, steps, lanes, \
                                      1, k, threshold, alpha);                                     \
        else                                                                                       \
            for (; at + LANES <= lanes; at += LANES)                                               \
                backward_block_##NAME(g + at, x + at, out + at, h, of_k + at, LANES, steps, lanes, \
                                      0, k, threshold, alpha);                                     \
        if (at < lanes)                                                                            \
            backward_block_##NAME(g + at, x + at, out + at, h, of_k + at, lanes - at, steps,       \
                                  lanes, leaky, k, threshold, alpha);                              \
    }

KERNELS(float, f32)
KERNELS(bf16, bf16)
