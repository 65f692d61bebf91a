/*
 * localgrad: trains neural networks on the device they run on, block by block.
 * Generated from the crate localgrad-bridge; docs/c-api.md is its manual.
 *
 * What holds for every function
 *
 * Errors. A function that can fail returns an lg_status and takes an lg_error, made by lg_error_create, or NULL where
 * nobody wants the sentence. LG_STATUS_OK is 0. After a failure nothing was changed, unless the function says otherwise.
 *
 * Handles. lg_network, lg_trainer and lg_error are handles. Whoever made one destroys it, in any order. A handle that
 * was destroyed, NULL and anything that is no handle are answered by a status; nothing is read through them.
 *
 * Threads. Functions of different handles can be called at the same time. A handle that is at work in another call
 * answers LG_STATUS_BUSY. The library starts threads in the first call that computes, and the last of them is gone when
 * lg_trainer_destroy returns. Before, lg_trainer_create has some draw weights, which are gone when it returns.
 *
 * Forks. A trainer belongs to the process that made it. In a forked child, which has none of its threads, every call on
 * it is answered by LG_STATUS_FORKED, and nothing hangs; the child may make its own. A child that was forked while a call
 * was at work is answered so by every function: start such a process anew.
 *
 * Pointers. They must be aligned, and valid for as long as the function says: for the call, where it says nothing.
 * Texts are UTF-8 and end in a zero byte. Results are written only on success, but for those that say otherwise.
 *
 * Structs. Each begins with struct_size, the size that the caller's header gives it: lg_..._init sets it with all other
 * fields, and in a struct for results the caller sets it.
 *
 * Units. Sizes are in bytes and times in seconds unless the name says otherwise. Accuracies are fractions in [0, 1].
 *
 * Callbacks. They get the user_data that was given with them. They must not throw, and must not leave by longjmp.
 */

#ifndef LOCALGRAD_H
#define LOCALGRAD_H

#include <stddef.h>
#include <stdint.h>


// Blocks that an lg_plan has room for.
#define LG_PLAN_BLOCKS 128

// Bytes of the text of an event, with the zero byte that ends it.
#define LG_EVENT_TEXT_BYTES 128

// Bytes of a metric's name, with the zero byte that ends it.
#define LG_METRIC_NAME_BYTES 32

// In place of a block: all of them, as any larger number is.
#define LG_ALL_BLOCKS 4294967295

// Extents that an lg_weight_info has room for.
#define LG_WEIGHT_RANK 8

// What a call came to. More may be added: treat one that you do not know as a failure.
enum lg_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  LG_STATUS_OK = 0,
  // A null or misaligned pointer, a wrong size, a text that is not UTF-8, a number that means nothing.
  LG_STATUS_ARGUMENT = 1,
  // The handle was destroyed, or is of another type.
  LG_STATUS_HANDLE = 2,
  // The handle is at work in another call: one on another thread, or the one that called this callback.
  LG_STATUS_BUSY = 3,
  // A configuration that cannot work; nothing was started.
  LG_STATUS_CONFIG = 4,
  // Shapes that do not fit each other.
  LG_STATUS_SHAPE = 5,
  // A file or a state in memory that is not what it should be.
  LG_STATUS_FORMAT = 6,
  // The system refused a file operation.
  LG_STATUS_IO = 7,
  // The device failed, or threads could not be started.
  LG_STATUS_DEVICE = 8,
  // A loss that is not a finite number.
  LG_STATUS_NOT_FINITE = 9,
  // The trainer was cancelled; see lg_trainer_cancel.
  LG_STATUS_CANCELLED = 10,
  // A buffer is too small; the size that is needed was written.
  LG_STATUS_BUFFER = 11,
  // The trainer is not in a state for this: a step is half done, or an error left it so.
  LG_STATUS_STATE = 12,
  // A callback said that it failed.
  LG_STATUS_CALLBACK = 13,
  // A mistake inside the library; please report it. The handle can only be destroyed.
  LG_STATUS_INTERNAL = 14,
  // This process was forked from the one that the handle, or a call that is at work, belongs to.
  LG_STATUS_FORKED = 15,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_status lg_status;
#else
typedef int32_t lg_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The type of a number in a sample.
enum lg_pixel
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A byte, which stands for byte / 255.
  LG_PIXEL_U8 = 0,
  // A 32-bit float, taken as it is. All must be finite.
  LG_PIXEL_F32 = 1,
  // A 32-bit float of the rows that lg_trainer_features wrote: what stays as it is of the network has made of the images,
  // and is not passed again. The layout is of no matter. All must be finite.
  LG_PIXEL_FEATURES = 2,
  // A token: an unsigned 32-bit number below the network's vocabulary. The layout is of no matter.
  LG_PIXEL_TOKEN = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_pixel lg_pixel;
#else
typedef int32_t lg_pixel;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The order of the numbers in an image.
enum lg_layout
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Rows of pixels of channels, as in most image files.
  LG_LAYOUT_NHWC = 0,
  // Planes, one a channel, as in PyTorch.
  LG_LAYOUT_NCHW = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_layout lg_layout;
#else
typedef int32_t lg_layout;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The channels of a frame's pixel, a byte each.
enum lg_frame_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Red, green, blue.
  LG_FRAME_FORMAT_RGB = 0,
  // Red, green, blue, and one that is not looked at.
  LG_FRAME_FORMAT_RGBA = 1,
  // Blue, green, red, and one that is not looked at.
  LG_FRAME_FORMAT_BGRA = 2,
  // Grey.
  LG_FRAME_FORMAT_GRAY = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_frame_format lg_frame_format;
#else
typedef int32_t lg_frame_format;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a frame of other proportions fits a network.
enum lg_fit
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The largest part of the network's proportions in its middle is taken.
  LG_FIT_CROP = 0,
  // All of it is taken, and distorted.
  LG_FIT_STRETCH = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_fit lg_fit;
#else
typedef int32_t lg_fit;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The way around a residual unit that changes the shape.
enum lg_shortcut
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A 1x1 convolution.
  LG_SHORTCUT_PROJECT = 0,
  // Every second row and column, with channels of zeros.
  LG_SHORTCUT_PAD = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_shortcut lg_shortcut;
#else
typedef int32_t lg_shortcut;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a network answers with, and the loss that it is trained by.
enum lg_objective
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // One class: softmax cross-entropy.
  LG_OBJECTIVE_CLASSES = 0,
  // Several labels, each there or not: sigmoid binary cross-entropy. Samples come with targets.
  LG_OBJECTIVE_LABELS = 1,
  // Values: squared error. Samples come with targets.
  LG_OBJECTIVE_VALUES = 2,
  // Values: Huber loss. Samples come with targets.
  LG_OBJECTIVE_HUBER = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_objective lg_objective;
#else
typedef int32_t lg_objective;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How gradients change weights.
enum lg_optimizer
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Stochastic gradient descent with `momentum` and `nesterov`.
  LG_OPTIMIZER_SGD = 0,
  // Adam with decoupled weight decay, `beta1`, `beta2` and `epsilon`.
  LG_OPTIMIZER_ADAMW = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_optimizer lg_optimizer;
#else
typedef int32_t lg_optimizer;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How the learning rate changes from step to step.
enum lg_schedule
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It stays what it is.
  LG_SCHEDULE_CONSTANT = 0,
  // Half a cosine from `learning_rate` to the share `schedule_floor` of it over `schedule_steps`, of which the first
  // `warmup_steps` warm up from 0. Each step has the rate in its middle, so that all of them train: the last just above
  // the floor, and so do those that follow.
  LG_SCHEDULE_COSINE = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_schedule lg_schedule;
#else
typedef int32_t lg_schedule;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What an event tells.
enum lg_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A block was trained: `block`, `loss`.
  LG_EVENT_KIND_BLOCK = 1,
  // A step is done: `step`, `samples`, `loss` of the last block, `accuracy` on the batch while training, `seconds`,
  // `progress`, `peak_bytes`.
  LG_EVENT_KIND_STEP = 2,
  // An evaluation is done: `samples`, `loss`, `accuracy` (NaN where answers are values), `metric`, and its name as `text`.
  LG_EVENT_KIND_EVALUATION = 3,
  // A checkpoint was written: `step`, `seconds` that it took.
  LG_EVENT_KIND_CHECKPOINT = 4,
  // Something went wrong, and training goes on: `text`.
  LG_EVENT_KIND_WARNING = 5,
  // A call that computes waits, because the trainer is paused: `step`, `pause_reason`, and `text`, which says the reason
  // in words.
  LG_EVENT_KIND_PAUSED = 6,
  // It goes on: `step`.
  LG_EVENT_KIND_RESUMED = 7,
  // The share of the time that is spent at work is another: `step`, `work_fraction`, `pause_reason`, and `text`.
  LG_EVENT_KIND_PACE = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_event_kind lg_event_kind;
#else
typedef int32_t lg_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why training waits, or works less. Other numbers are yours to use.
enum lg_pause_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Somebody wished it.
  LG_PAUSE_REASON_USER = 0,
  // The device is hot.
  LG_PAUSE_REASON_THERMAL = 1,
  // The battery is low, or does not charge.
  LG_PAUSE_REASON_BATTERY = 2,
  // The app is not in the foreground, or the system wants its time for others.
  LG_PAUSE_REASON_BACKGROUND = 3,
  // Work is to take a share of the time alone.
  LG_PAUSE_REASON_WORK_FRACTION = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_pause_reason lg_pause_reason;
#else
typedef int32_t lg_pause_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a callback answers. Any other number means that it failed.
enum lg_answer
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Go on.
  LG_ANSWER_CONTINUE = 0,
  // Stop: enough was done, or there are no more samples.
  LG_ANSWER_STOP = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_answer lg_answer;
#else
typedef int32_t lg_answer;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why lg_trainer_run returned.
enum lg_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // All steps are done.
  LG_REASON_STEPS = 0,
  // The time is over.
  LG_REASON_DEADLINE = 1,
  // `watch` said stop.
  LG_REASON_STOPPED = 2,
  // The trainer was cancelled.
  LG_REASON_CANCELLED = 3,
  // There are no more samples.
  LG_REASON_DATA_ENDED = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_reason lg_reason;
#else
typedef int32_t lg_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A number that can be changed.
enum lg_setting
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The learning rate that the schedule changes from.
  LG_SETTING_LEARNING_RATE = 0,
  // Momentum, of SGD that has some.
  LG_SETTING_MOMENTUM = 1,
  // Weight decay.
  LG_SETTING_WEIGHT_DECAY = 2,
  // Decay of the mean of gradients, of AdamW.
  LG_SETTING_BETA1 = 3,
  // Decay of the mean of their squares, of AdamW.
  LG_SETTING_BETA2 = 4,
  // What keeps the divisor from 0, of AdamW.
  LG_SETTING_EPSILON = 5,
  // Share of each label that is spread over all classes.
  LG_SETTING_LABEL_SMOOTHING = 6,
  // Largest norm of a block's gradient; 0 for any.
  LG_SETTING_CLIP_NORM = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_setting lg_setting;
#else
typedef int32_t lg_setting;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which weights of a file are taken.
enum lg_weights
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // All of them, which must be exactly the network's.
  LG_WEIGHTS_ALL = 0,
  // All but the layer that gives the classes, which stays as it is: to fine-tune.
  LG_WEIGHTS_BODY = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_weights lg_weights;
#else
typedef int32_t lg_weights;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How numbers are stored in an exported file.
enum lg_precision
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Four bytes each.
  LG_PRECISION_F32 = 0,
  // Two bytes each, with 11 significant bits, up to 65504.
  LG_PRECISION_F16 = 1,
  // Two bytes each, with 8 significant bits, as large as four-byte numbers are: for activations; weights
  // do not come and go in it.
  LG_PRECISION_BF16 = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_precision lg_precision;
#else
typedef int32_t lg_precision;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How much a message matters.
enum lg_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // No messages.
  LG_LOG_LEVEL_OFF = 0,
  // What failed.
  LG_LOG_LEVEL_ERROR = 1,
  // What went wrong although the call went on.
  LG_LOG_LEVEL_WARN = 2,
  // What is worth knowing.
  LG_LOG_LEVEL_INFO = 3,
  // For finding mistakes.
  LG_LOG_LEVEL_DEBUG = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum lg_log_level lg_log_level;
#else
typedef int32_t lg_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Holds what went wrong in the last call that failed and was given it. Use one in each thread.
typedef struct lg_error lg_error;

// A network as data, with the weights and names that it was given. It never changes, so any number of threads may use
// it at once.
typedef struct lg_network lg_network;

// A network in training, with its own threads from the first call that computes until it is destroyed.
//
// Calls that train, evaluate, save or change settings are made one at a time; a second one at the same time is
// answered by LG_STATUS_BUSY. lg_trainer_pause, lg_trainer_resume, lg_trainer_cancel, lg_trainer_clear_cancel,
// lg_trainer_set_work_fraction, lg_trainer_set_threads, lg_trainer_poll and lg_trainer_dropped_events may be called on
// any thread at any time, also from callbacks.
typedef struct lg_trainer lg_trainer;

// A device that this build knows.
typedef struct {
  // sizeof(lg_device), set by the caller.
  size_t struct_size;
  // 1 if it can be used.
  int32_t available;
  // What lg_trainer_config.device takes: "cpu", "cuda", "metal".
  char name[32];
  // What it is, or why it cannot be used; cut where it is longer.
  char description[160];
} lg_device;

// Takes a message: an lg_log_level and a text that lives until the function returns. It is called on any thread, also
// on several at once, and must not throw.
typedef void (*lg_log_fn)(void *user_data, int32_t level, const char *message);

// What the name of a model leaves open.
typedef struct {
  // sizeof(lg_network_options).
  size_t struct_size;
  // Channels of an image; 3.
  size_t channels;
  // Rows; 32.
  size_t height;
  // Columns; 32.
  size_t width;
  // Classes, or labels or values; 10.
  size_t classes;
  // Widths of the stem and of each stage, where they are not the published ones; NULL. CIFAR ResNets only.
  const size_t *widths;
  // How many they are; 0.
  size_t widths_count;
  // An lg_shortcut; LG_SHORTCUT_PROJECT.
  int32_t shortcut;
  // The error from which on the loss of LG_OBJECTIVE_HUBER grows in proportion to it; 1.
  double huber_delta;
  // An lg_objective; LG_OBJECTIVE_CLASSES.
  int32_t objective;
  // How many tokens there are to choose from, where samples are rows of `width` tokens; 0: they are images.
  size_t vocabulary;
} lg_network_options;

// What a network is.
typedef struct {
  // sizeof(lg_network_info), set by the caller.
  size_t struct_size;
  // Channels of an image; 1 of tokens.
  size_t channels;
  // Rows; 1 of tokens.
  size_t height;
  // Columns, or tokens.
  size_t width;
  // Classes, or labels or values, as `objective` says.
  size_t classes;
  // Units: the places it can be cut at, plus 1.
  size_t units;
  // Trained numbers, auxiliary networks not counted.
  size_t parameters;
  // Its name; cut where it is longer.
  char name[64];
  // Names of its classes: as many as classes, or 0.
  size_t class_names;
  // 1 if it carries weights, which its trainers begin with.
  int32_t has_weights;
  // 1 if it carries its normalisation, which its trainers use where their configuration names none.
  int32_t has_normalize;
  // The error from which on the loss of LG_OBJECTIVE_HUBER grows in proportion to it; 0 of other objectives.
  double huber_delta;
  // An lg_objective: what `classes` counts.
  int32_t objective;
  // How many tokens there are to choose from, where samples are tokens; 0: they are images.
  size_t vocabulary;
} lg_network_info;

// How a trainer is made. lg_trainer_config_init gives each field the value that stands behind its semicolon. Texts
// and arrays are read while the trainer is made and are not needed afterwards.
typedef struct {
  // sizeof(lg_trainer_config).
  size_t struct_size;
  // "bp", "greedy", "dgl", "predsim", "infopro", "auglocal", "man" or "manpp"; NULL, which is "man", or "bp" where `train` is
  // "head" or last units and neither `blocks`, `ends`, `frozen_blocks` nor `head` is set.
  const char *rule;
  // The classifier of each auxiliary network: "greedy", "dgl", "predsim", "imagenet", "auglocal", "path", counts of
  // convolutions and linear layers such as "1c2f", or "infopro", which is "1c2f" beside a decoder that rebuilds the
  // image; NULL, which is the rule's own, and of "man" for images "auglocal" with `aux_depth` 1 and `ema_momentum` 0.9.
  // "bp" and "auglocal" have none to choose.
  const char *head;
  // Local blocks to cut the network into, where published or even in memory, with "auglocal", where that allows it, not within
  // the last `aux_depth` and one more units; 0, which is 4, or 1 for "bp", or with "auglocal" one a unit before those.
  // What "bp", which has one block, is cut into by `blocks` or `ends` are pieces that its backward pass takes one at a
  // time, which saves memory and changes no result.
  size_t blocks;
  // The last unit of each block, rising, in place of `blocks`; NULL.
  const size_t *ends;
  // How many they are; 0.
  size_t ends_count;
  // The first blocks, as many as this, stay as they are; 0. Beside memory_budget_bytes it needs `blocks` or `ends`.
  size_t frozen_blocks;
  // The most samples in a step; 32.
  size_t batch;
  // Samples that pass through a block at once; 0, which is all.
  size_t micro_batch;
  // 1 to repeat forward passes rather than keep what they leave: less memory, the same results; 0.
  int32_t recompute;
  // An lg_optimizer; LG_OPTIMIZER_SGD.
  int32_t optimizer;
  // Of SGD: share of the last direction that is kept; 0.9.
  double momentum;
  // Of SGD: 1 to look one step of momentum ahead; 1.
  int32_t nesterov;
  // Of AdamW: decay of the mean of gradients; 0.9.
  double beta1;
  // Of AdamW: decay of the mean of their squares; 0.999.
  double beta2;
  // Of AdamW: keeps the divisor from 0; 1e-8.
  double epsilon;
  // Weight decay; 1e-4.
  double weight_decay;
  // Learning rate; 0.025.
  double learning_rate;
  // An lg_schedule; LG_SCHEDULE_CONSTANT.
  int32_t schedule;
  // Steps of the schedule; 0.
  size_t schedule_steps;
  // Steps of its warm-up; 0.
  size_t warmup_steps;
  // Share of each label that is spread over all classes; 0.
  double label_smoothing;
  // Largest norm of a block's gradient; 0, which is any.
  double clip_norm;
  // How images are normalised: "cifar10", "imagenet", "fashion", "half", "identity"; NULL, which is as the network says
  // that lg_network_load made, and "half" for others.
  const char *normalize;
  // In place of `normalize`, what is subtracted from each channel; NULL.
  const float *mean;
  // And what it is then divided by; NULL.
  const float *deviation;
  // "cpu", "cuda", "cuda:1", "metal"; NULL, which is "cpu".
  const char *device;
  // Worker threads; 0, which is one a core, or as many of them as keep to memory_budget_bytes.
  size_t threads;
  // Seed of weights and dropout; 0.
  uint64_t seed;
  // The most bytes of memory that one trainer may have in use at one time; 0, which is any. What `blocks`, `ends`,
  // `micro_batch` and `recompute` leave open is then chosen so that training is fast; lg_network_plan tells what. Where
  // nothing fits, no trainer is made. A trainer that goes back to a checkpoint or a state trains on as that was trained,
  // where it keeps to the budget, too. On a device they are bytes of its memory.
  size_t memory_budget_bytes;
  // 1 to take batch norm's statistics of the whole step in micro-batches, too, which repeats passes: the same results
  // but for rounding; 0. On the CPU only.
  int32_t exact_micro_batches;
  // What activations wait in for the backward pass, an lg_precision; LG_PRECISION_F32, which loses nothing. With
  // memory_budget_bytes it becomes LG_PRECISION_BF16 where nothing fits otherwise; numbers too large for
  // LG_PRECISION_F16 end a step with LG_STATUS_NOT_FINITE.
  int32_t activations;
  // Directory (UTF-8) of a file without a name, which vanishes with the trainer; NULL, which is none. With
  // memory_budget_bytes what is not at work waits there where nothing fits otherwise.
  const char *scratch;
  // The most bytes that the file may hold; 0, which is any.
  uint64_t scratch_limit_bytes;
  // 1 to let weights, what the optimizer remembers of them, and features on their way wait in that file in any case:
  // less memory, the same results; 0.
  int32_t offload;
  // New units of AugLocal's first auxiliary networks, of rule "auglocal" and heads "auglocal" and "path" only; 0, which
  // is 2, or 1 where `head` says so.
  size_t aux_depth;
  // Share of the old value that the moving averages of "man" and "manpp" keep in a step, from 0 up to, but not, 1; any
  // negative number is the rule's own, 0.995, or 0.9 where `head` says so; -1.
  double ema_momentum;
  // 1 to let the averages of "man" stand alone, without a trained copy beside each; 0.
  int32_t average_alone;
  // Of LG_SCHEDULE_COSINE: the share of `learning_rate` that it ends at, from 0 to 1; 0.01.
  double schedule_floor;
  // What is trained of the blocks that are: "head", "norms" (scales and shifts of norms, beside the head), "biases" (beside
  // the head), "last-2-units" (or another number, and the head) or "all"; NULL, which is "all". What comes before is passed
  // by running statistics and keeps no activations, and batch norms that are not trained go by theirs, too.
  const char *train;
  // Rows and columns of windows whose means new units of AugLocal's take, along sides of 16 and more, so that more of them
  // cost as little: of rule "auglocal" and head "auglocal" only; 0, which is 1, where they take all there is.
  size_t aux_pool;
  // Bits of each number that the optimizer remembers of weights with 4,096 elements and more: 32, or 8, which is a quarter of
  // that memory, rounded block by block (Dettmers et al. 2022), on the CPU and without `offload` only; 32.
  int32_t optimizer_state_bits;
  // In what products are multiplied on a device with tensor cores: "f32", "tf32" (11 bits), or "f16" (forward; gradients in
  // TF32, so that no loss needs scaling). Sums and maps stay f32; NULL, which is "f32".
  const char *precision;
} lg_trainer_config;

// How a trainer will train, and what it needs.
typedef struct {
  // sizeof(lg_plan), set by the caller.
  size_t struct_size;
  // The most bytes that training, evaluations in batches, saving and resuming have in use at one time; an upper
  // bound, for as many threads as the configuration says. With memory_budget_bytes `threads` of 0 is as many of one a
  // core as keep to it. On a device all that is taken of its memory, what is kept for the next step included.
  size_t peak_bytes;
  // Local blocks.
  size_t blocks;
  // Samples that pass through a block at once; 0, which is all.
  size_t micro_batch;
  // 1 if forward passes are repeated.
  int32_t recompute;
  // What activations wait in, an lg_precision.
  int32_t activations;
  // 1 if what is not at work waits in the scratch file.
  int32_t offload;
  // The last unit of each block, as far as there is room.
  size_t ends[LG_PLAN_BLOCKS];
} lg_plan;

// Images with what they are to be answered with, lent for the time of a call.
typedef struct {
  // sizeof(lg_samples).
  size_t struct_size;
  // The images, or rows of tokens or of features, one behind the other without gaps.
  const void *images;
  // Their size: count * channels * height * width, times 4 for floats; of tokens count * width * 4; of features count *
  // (what lg_trainer_feature_count writes) * 4. Anything else is refused.
  size_t images_bytes;
  // An lg_pixel.
  int32_t pixel;
  // An lg_layout.
  int32_t layout;
  // How many images.
  size_t count;
  // The class of each, from 0; NULL where none are needed.
  const uint32_t *labels;
  // In place of labels, a row of as many numbers for each as the network has outputs: of a network whose objective is
  // labels 1 for one that is there and else 0, of one whose objective is values these, and of one that classifies the
  // shares of the classes, which sum up to 1. NULL for labels.
  const float *targets;
} lg_samples;

// A frame of a camera or a bitmap, lent for the time of a call.
typedef struct {
  // sizeof(lg_frame).
  size_t struct_size;
  // The first row.
  const void *pixels;
  // The size of all that may be read: row_bytes for each row, of which the last may end with its last pixel.
  size_t bytes;
  // Columns.
  size_t width;
  // Rows.
  size_t height;
  // From the beginning of a row to that of the next; 0, which is a row's pixels and no gap.
  size_t row_bytes;
  // An lg_frame_format; LG_FRAME_FORMAT_RGB.
  int32_t format;
  // By how many degrees it must be turned clockwise to stand upright: 0, 90, 180 or 270; 0.
  int32_t rotation_degrees;
  // An lg_fit; LG_FIT_CROP.
  int32_t fit;
} lg_frame;

// Where a trainer stands.
typedef struct {
  // sizeof(lg_trainer_info), set by the caller.
  size_t struct_size;
  // Local blocks.
  size_t blocks;
  // The most samples in a step.
  size_t batch;
  // Samples that were pushed and wait for the next step.
  size_t pending;
  // Steps done.
  uint64_t steps;
  // Samples trained on.
  uint64_t samples;
  // Seconds at work in training.
  double seconds;
  // The learning rate of the next step.
  double learning_rate;
  // 1 if the step that follows was interrupted and is half done: it goes on with the next call that trains, and
  // nothing can be saved before.
  int32_t step_is_open;
  // Its blocks that are done.
  size_t blocks_done;
  // 1 if an error came in the middle of a step: go back to a checkpoint or a saved state.
  int32_t is_damaged;
  // Classes.
  size_t classes;
  // Names of them, for lg_trainer_class_name: as many as classes, or 0.
  size_t class_names;
} lg_trainer_info;

// Something that happened. Fields that its kind does not name are 0.
typedef struct {
  // sizeof(lg_event), set by the caller.
  size_t struct_size;
  // An lg_event_kind. Kinds that you do not know can be passed over.
  int32_t kind;
  // The block, from 0.
  uint32_t block;
  // Steps done when it happened.
  uint64_t step;
  // Samples it is about.
  uint64_t samples;
  // Mean loss of a sample; NaN for a frozen block, which has none.
  double loss;
  // Share of the samples that were classified right, in [0, 1], or of the labels; NaN where answers are values.
  double accuracy;
  // How long it took, in seconds.
  double seconds;
  // How far lg_trainer_run has come towards its number of steps, in [0, 1]; 0 where it has none.
  double progress;
  // The most bytes of the device's memory that were in use at one time: on the CPU those of the library (see
  // lg_memory), on a GPU those that its driver counts.
  uint64_t peak_bytes;
  // UTF-8, ends in a zero byte; cut where it is longer.
  char text[LG_EVENT_TEXT_BYTES];
  // An lg_pause_reason, or a number of yours.
  int32_t pause_reason;
  // Share of the time that is spent at work, in (0, 1].
  double work_fraction;
  // What the network is judged by, which `text` names.
  double metric;
} lg_event;

// Gives samples: fills in `*samples`, which it gets empty, and answers LG_ANSWER_CONTINUE, or LG_ANSWER_STOP where
// there are no more. What it lends stays as it is until it is called again or the call that called it returns. `number`
// is the number of steps done (of batches, in an evaluation), so that samples that are a function of it are the same
// after a resume. It is called on the thread whose call needs the samples, and must not throw.
typedef int32_t (*lg_source_fn)(void *user_data, uint64_t number, lg_samples *samples);

// What a step found.
typedef struct {
  // sizeof(lg_step_result), set by the caller.
  size_t struct_size;
  // Its number, from 1.
  uint64_t step;
  // Samples in it.
  size_t samples;
  // How many of them were classified right, while training; of a network whose objective is labels, how many labels; 0
  // where it is values.
  size_t correct;
  // Mean loss of the last block, which is the network's own.
  double loss;
  // The learning rate it was done with.
  double learning_rate;
  // Seconds at work.
  double seconds;
} lg_step_result;

// Is told of each step and answers an lg_answer: whether to go on. It is called on the thread that called
// lg_trainer_run, and must not throw.
typedef int32_t (*lg_watch_fn)(void *user_data, const lg_step_result *step);

// When lg_trainer_run returns. lg_run_options_init sets all to 0 or NULL: no limit.
typedef struct {
  // sizeof(lg_run_options).
  size_t struct_size;
  // When so many steps are done, those of earlier calls and before a resume counted.
  uint64_t until_step;
  // When so many milliseconds are over: no step is begun that is likely to end later, but for the first, so that
  // every call gets on.
  uint64_t milliseconds;
  // Is told of each step, and may stop it.
  lg_watch_fn watch;
  // What `watch` is given.
  void *user_data;
  // Saves a checkpoint so many steps after the last, those of earlier calls counted, and at the end. Needs
  // lg_trainer_open_checkpoints.
  uint64_t checkpoint_steps;
  // The same so many milliseconds after the first step that no checkpoint holds began.
  uint64_t checkpoint_milliseconds;
} lg_run_options;

// What a run came to.
typedef struct {
  // sizeof(lg_run_result), set by the caller.
  size_t struct_size;
  // An lg_reason.
  int32_t reason;
  // Steps of the trainer that are done, earlier calls counted.
  uint64_t steps;
  // Steps that this call finished.
  uint64_t new_steps;
  // Mean loss of the last block in the last step; NaN where there was none.
  double loss;
} lg_run_result;

// What an evaluation found.
typedef struct {
  // sizeof(lg_evaluation), set by the caller.
  size_t struct_size;
  // Samples.
  size_t samples;
  // Share of them that were classified right, in [0, 1]; of a network whose objective is labels the share of the right
  // answers, and NaN of one whose objective is values.
  double accuracy;
  // Mean cross-entropy, or loss of the network's objective.
  double loss;
  // What the network is judged by: "accuracy", "label_accuracy" or, of values, "mean_absolute_error".
  char metric_name[LG_METRIC_NAME_BYTES];
  // Its value.
  double metric;
} lg_evaluation;

// What a weight, or a running statistic, is.
typedef struct {
  // sizeof(lg_weight_info), set by the caller.
  size_t struct_size;
  // The block that it is part of.
  size_t block;
  // Its numbers.
  size_t elements;
  // How many of `extents` count.
  size_t rank;
  // Its shape, as PyTorch has it: [outputs, inputs, rows, columns] of a convolution.
  size_t extents[LG_WEIGHT_RANK];
  // 1 if it is a running statistic of batch norm, which no gradient changes.
  int32_t is_statistic;
} lg_weight_info;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The name of a status, such as "LG_STATUS_BUSY"; "unknown" for a number that is none. The text lives as long as
// the library. Any thread.
const char *lg_status_name(int32_t status);

// Makes an error object, which the caller destroys. NULL if even that fails. Any thread.
lg_error *lg_error_create(void);

// Destroys an error object and the text it owns. NULL, and one that was destroyed before, do nothing. Any thread.
void lg_error_destroy(lg_error *error);

// The sentence of the last failure that was reported into `error`, in UTF-8: what was wrong and what to do. Empty
// before the first. The text belongs to the object and lives until the next failure is reported into it or it is
// destroyed. Never NULL.
const char *lg_error_message(const lg_error *error);

// The status of the last failure that was reported into `error`; LG_STATUS_OK before the first, LG_STATUS_HANDLE if
// it is no error object.
lg_status lg_error_status(const lg_error *error);

// Where the last failure that was reported into `error` is a memory budget that no way to train keeps to: the least
// bytes that would do, which its sentence names, too. 0 otherwise.
size_t lg_error_least_bytes(const lg_error *error);

// The version of the library, such as "0.1.0". The text lives as long as the library. Any thread.
const char *lg_version(void);

// How the library was built and what it found: target, kinds of devices and other features, vector instructions in use,
// and what it was built without, such as "x86_64-linux cpu pooled-memory simd=Avx2 release; without cuda, metal". The
// text lives as long as the library. Any thread.
const char *lg_build_options(void);

// Writes the number of kinds of devices, usable or not. Any thread.
lg_status lg_device_count(size_t *count, lg_error *error);

// Describes device `index`, from 0. Any thread.
lg_status lg_device_get(size_t index, lg_device *device, lg_error *error);

// Writes how many bytes the library has in use now, on the host, and the most that were in use at one time since the
// process began or since lg_memory_reset_peak; either pointer may be NULL. Any thread.
lg_status lg_memory(size_t *live_bytes,
                    size_t *peak_bytes,
                    lg_error *error);

// Lets the peak begin again at what is in use now. Any thread.
void lg_memory_reset_peak(void);

// Sends messages of this level and more important ones to `function`, for the whole process; NULL sends them nowhere,
// which is how the library starts. When it returns, the function before is no longer running and its user_data can be
// freed. Any thread, but not from inside the function.
lg_status lg_set_log(lg_log_fn function,
                     void *user_data,
                     int32_t level,
                     lg_error *error);

// The number of models that lg_network_create knows by name. Any thread.
size_t lg_model_count(void);

// The name of model `index`, from 0, the smallest of a family first; NULL where there is none. The text lives as
// long as the library. Any thread.
const char *lg_model_name(size_t index);

// Fills in a struct of `struct_size` bytes, which is sizeof(lg_network_options), for CIFAR-10.
lg_status lg_network_options_init(lg_network_options *options, size_t struct_size);

// Makes the network called `model`, one that lg_model_name gives; `options` may be NULL. `*network` is the caller's
// to destroy, and NULL after a failure. Any thread.
lg_status lg_network_create(const char *model,
                            const lg_network_options *options,
                            lg_network **network,
                            lg_error *error);

// Makes a network from its description in JSON, as lg_network_to_json writes it. `*network` is the caller's to
// destroy, and NULL after a failure. Any thread.
lg_status lg_network_from_json(const char *json,
                               lg_network **network,
                               lg_error *error);

// Writes the network's description in JSON, UTF-8 with a zero byte at its end. `*needed` becomes its size in bytes
// with that zero byte; a NULL buffer of capacity 0 asks for the size alone. Too small a buffer is left as it is, with
// LG_STATUS_BUFFER. Any thread.
lg_status lg_network_to_json(const lg_network *network,
                             char *buffer,
                             size_t capacity,
                             size_t *needed,
                             lg_error *error);

// Describes the network. Any thread.
lg_status lg_network_describe(const lg_network *network, lg_network_info *info, lg_error *error);

// Makes the same network with a new layer for another number of classes, to fine-tune it on other data: load the old
// weights into its trainer with LG_WEIGHTS_BODY; a network that carries weights keeps all others, and its
// normalisation, but no names of classes. `*replaced` is the caller's to destroy, and NULL after a failure; `network` stays
// as it is. Any thread.
lg_status lg_network_replace_head(const lg_network *network,
                                  size_t classes,
                                  lg_network **replaced,
                                  lg_error *error);

// Makes the same network with another lg_objective, to fine-tune it on data that come with other targets; `huber_delta` is
// looked at for LG_OBJECTIVE_HUBER alone. Replace its head afterwards: a network may answer with 1 value, but not with 1
// class. `*replaced` is the caller's to destroy, and NULL after a failure; `network` stays as it is. Any thread.
lg_status lg_network_replace_objective(const lg_network *network,
                                       int32_t objective,
                                       double huber_delta,
                                       lg_network **replaced,
                                       lg_error *error);

// Destroys a network. Trainers made from it go on. NULL, and one that was destroyed before, do nothing. Any thread.
void lg_network_destroy(lg_network *network);

// Makes the network that the safetensors file at `path` (UTF-8) says it is of, as lg_trainer_export and the program write
// it, or else one that lg_model_name gives, of published widths, which the file is known by its tensors to be of, under
// torchvision's names, timm's, or Hugging Face's. The network carries the file's weights, which its trainers begin with, its
// normalisation (of a network for photographs that does not say it ImageNet's), which they use where their configuration
// names none, and the names of its classes, if it says them. LG_STATUS_FORMAT where the network is not known.
// `*network` is the caller's to destroy, with its copy of the weights, and NULL after a failure. Any thread.
lg_status lg_network_load(const char *path,
                          lg_network **network,
                          lg_error *error);

// The same from the content of such a file, of `bytes` bytes, which is not needed afterwards. Any thread.
lg_status lg_network_from_bytes(const void *content, size_t bytes, lg_network **network, lg_error *error);

// lg_network_replace_head for `count` classes of these names (UTF-8). Any thread.
lg_status lg_network_replace_head_named(const lg_network *network,
                                        const char *const *names,
                                        size_t count,
                                        lg_network **replaced,
                                        lg_error *error);

// Makes the same network with names (UTF-8) for its classes, as many as there are. They travel with its trainers into
// exports and checkpoints. `*named` is the caller's to destroy, and NULL after a failure; `network` stays as it is. Any
// thread.
lg_status lg_network_name_classes(const lg_network *network,
                                  const char *const *names,
                                  size_t count,
                                  lg_network **named,
                                  lg_error *error);

// Writes the name of class `index`, UTF-8 with a zero byte at its end. `*needed` becomes its size in bytes with that zero
// byte; a NULL buffer of capacity 0 asks for the size alone. Too small a buffer is left as it is, with LG_STATUS_BUFFER.
// LG_STATUS_ARGUMENT where the class has no name. Any thread.
lg_status lg_network_class_name(const lg_network *network,
                                size_t index,
                                char *buffer,
                                size_t capacity,
                                size_t *needed,
                                lg_error *error);

// The same of a trainer, which has the names of its network or, where that had none, of the checkpoint or state that it
// went back to.
lg_status lg_trainer_class_name(const lg_trainer *trainer,
                                size_t index,
                                char *buffer,
                                size_t capacity,
                                size_t *needed,
                                lg_error *error);

// Fills in a struct of `struct_size` bytes, which is sizeof(lg_trainer_config).
lg_status lg_trainer_config_init(lg_trainer_config *config, size_t struct_size);

// Writes how a trainer of this network and configuration (which may be NULL) will train and what memory it needs,
// without making one. With memory_budget_bytes that is the fastest way that keeps to it; LG_STATUS_CONFIG, with the
// least that would do, where none does, as lg_trainer_create would say. The device is the configuration's, which is opened
// for it. Any thread.
lg_status lg_network_plan(const lg_network *network,
                          const lg_trainer_config *config,
                          lg_plan *plan,
                          lg_error *error);

// Fills in a struct of `struct_size` bytes, which is sizeof(lg_samples): bytes, NHWC, none.
lg_status lg_samples_init(lg_samples *samples, size_t struct_size);

// Fills in a struct of `struct_size` bytes, which is sizeof(lg_frame).
lg_status lg_frame_init(lg_frame *frame, size_t struct_size);

// Writes what a frame looks like to the network: one image of its size, bytes, NHWC, as lg_samples takes it. The frame is
// read where it lies; smaller images are made by a weighted mean of all pixels, larger ones by interpolation. Colours
// become grey where the network takes one channel. `capacity` is how many bytes `image` has room for, at least channels
// times height times width. Any thread.
lg_status lg_network_prepare_frame(const lg_network *network,
                                   const lg_frame *frame,
                                   uint8_t *image,
                                   size_t capacity,
                                   lg_error *error);

// Makes a trainer of the network with new weights, or those that the network carries; `config` may be NULL. Threads that
// draw weights are gone when it returns. `*trainer` is the caller's to destroy, and NULL after a failure. The network may be destroyed. Any thread.
lg_status lg_trainer_create(const lg_network *network,
                            const lg_trainer_config *config,
                            lg_trainer **trainer,
                            lg_error *error);

// Writes where the trainer stands.
lg_status lg_trainer_describe(const lg_trainer *trainer, lg_trainer_info *info, lg_error *error);

// Writes the loss of each block in the last step, NaN before the first and for frozen blocks. `capacity` is how many
// numbers `losses` has room for, at least the number of blocks.
lg_status lg_trainer_losses(const lg_trainer *trainer,
                            double *losses,
                            size_t capacity,
                            lg_error *error);

// Destroys a trainer, its threads and what it has in memory; checkpoints stay. A call on another thread that is at work
// with it is cancelled, and what it uses is freed when that call returns. NULL, and one that was destroyed before, do
// nothing. Any thread, at any time.
void lg_trainer_destroy(lg_trainer *trainer);

// Takes the oldest event that waits. `*found` becomes 1, or 0 where none waits; `event`, whose struct_size the caller
// has set, is then left as it is. Any thread at any time, without waiting.
lg_status lg_trainer_poll(const lg_trainer *trainer,
                          lg_event *event,
                          int32_t *found,
                          lg_error *error);

// Writes the number of events that were dropped so far, because 256 others waited. Any thread at any time.
lg_status lg_trainer_dropped_events(const lg_trainer *trainer, uint64_t *count, lg_error *error);

// Adds samples, one or many, to those that the next step trains on. They are copied. All of them together may be no
// more than lg_trainer_config.batch; none is taken if they are.
lg_status lg_trainer_push(lg_trainer *trainer,
                          const lg_samples *samples,
                          lg_error *error);

// Forgets the samples that were pushed and not yet trained on.
lg_status lg_trainer_discard_pushed(lg_trainer *trainer, lg_error *error);

// Sets the function that gives samples where none were pushed; NULL sets none. `user_data` stays the caller's and must
// outlive its use.
lg_status lg_trainer_set_source(lg_trainer *trainer,
                                lg_source_fn function,
                                void *user_data,
                                lg_error *error);

// Fills in a struct of `struct_size` bytes, which is sizeof(lg_run_options).
lg_status lg_run_options_init(lg_run_options *options, size_t struct_size);

// Trains every block once on the samples that were pushed or, where none were, on those that the source gives; finishes
// a step that was interrupted first. `result`, whose struct_size the caller has set, may be NULL. While the trainer is
// paused it waits. Where it is cancelled: LG_STATUS_CANCELLED, and the step goes on with the next call after
// lg_trainer_clear_cancel. LG_STATUS_CONFIG where there are no samples.
lg_status lg_trainer_step(lg_trainer *trainer,
                          lg_step_result *result,
                          lg_error *error);

// Trains step after step until `options` (which may be NULL) says so, the trainer is cancelled or there are no more
// samples. `result`, whose struct_size the caller has set, may be NULL; it is written also where a cancel ended the
// run, which is no failure. Checkpoints that are due are saved on the way, and one at the end unless it was cancelled;
// one that cannot be saved is told of as an event and a message, and training goes on.
lg_status lg_trainer_run(lg_trainer *trainer,
                         const lg_run_options *options,
                         lg_run_result *result,
                         lg_error *error);

// Makes calls that compute wait, before their next block, until lg_trainer_resume or lg_trainer_cancel. What the block
// left in memory stays. It holds for later calls, too. Any thread, at any time.
lg_status lg_trainer_pause(lg_trainer *trainer,
                           lg_error *error);

// lg_trainer_pause with its reason, an lg_pause_reason or a number of yours, which the call that waits tells as an event.
// Of two pauses the later one's reason counts; one lg_trainer_resume ends both. Any thread, at any time.
lg_status lg_trainer_pause_for(lg_trainer *trainer,
                               int32_t reason,
                               lg_error *error);

// Ends a pause. Any thread, at any time.
lg_status lg_trainer_resume(lg_trainer *trainer, lg_error *error);

// Makes calls that compute return before their next block, those at work and all later ones, until
// lg_trainer_clear_cancel. A step that this interrupts is kept: it goes on where it was, in the same numbers, with the
// next training call. Until then nothing can be saved, and the last checkpoint is what a killed process goes back to.
// Any thread, at any time.
lg_status lg_trainer_cancel(lg_trainer *trainer,
                            lg_error *error);

// Lets calls compute again after a cancel. Any thread, at any time.
lg_status lg_trainer_clear_cancel(lg_trainer *trainer, lg_error *error);

// Sets the share of the time that is spent at work, from 0.01 to 1, against heat and for the battery: after each block
// the trainer rests for the rest of the time. Results stay the same. Any thread, at any time.
lg_status lg_trainer_set_work_fraction(lg_trainer *trainer,
                                       double fraction,
                                       lg_error *error);

// lg_trainer_set_work_fraction with its reason, an lg_pause_reason or a number of yours, which the next call that computes
// tells as an event. Any thread, at any time.
lg_status lg_trainer_set_work_fraction_for(lg_trainer *trainer,
                                           double fraction,
                                           int32_t reason,
                                           lg_error *error);

// Sets the number of worker threads from the next block on; 0 is one a core. Results stay the same. Any thread, at any
// time.
lg_status lg_trainer_set_threads(lg_trainer *trainer,
                                 size_t threads,
                                 lg_error *error);

// Sets a number, an lg_setting, from the next block on (the learning rate from the next step on). It is saved with
// checkpoints and states, and comes back with them. One that is out of its range changes nothing.
lg_status lg_trainer_set(lg_trainer *trainer,
                         int32_t setting,
                         double value,
                         lg_error *error);

// Writes a number, an lg_setting.
lg_status lg_trainer_get(const lg_trainer *trainer, int32_t setting, double *value, lg_error *error);

// Evaluates the network on labelled samples, as many as there are. Training is not changed. LG_STATUS_CANCELLED where
// it was cancelled, LG_STATUS_NOT_FINITE where its answers are no numbers, as those of spoiled weights are.
lg_status lg_trainer_evaluate(lg_trainer *trainer,
                              const lg_samples *samples,
                              lg_evaluation *result,
                              lg_error *error);

// The same on what a function gives, until it answers LG_ANSWER_STOP.
lg_status lg_trainer_evaluate_source(lg_trainer *trainer,
                                     lg_source_fn function,
                                     void *user_data,
                                     lg_evaluation *result,
                                     lg_error *error);

// Writes one logit for each class of each sample, sample after sample; the class of the largest is the network's
// answer. Labels are not looked at. `capacity` is how many numbers `logits` has room for, at least samples times
// classes. LG_STATUS_CANCELLED where it was cancelled, LG_STATUS_NOT_FINITE where its answers are no numbers.
lg_status lg_trainer_predict(lg_trainer *trainer,
                             const lg_samples *samples,
                             float *logits,
                             size_t capacity,
                             lg_error *error);

// Asks every exit for an answer to each of some labelled samples: the auxiliary networks behind the blocks that are
// trained, in order, and the network's end, which is the last. Writes of each the share that it classified right, and the
// temperature that its logits are divided by so that its probabilities are as large as it is often right; samples that
// were not trained on tell both best. `capacity` is how many numbers both have room for, `count` becomes how many exits
// there are. Training is not changed. LG_STATUS_CONFIG for networks whose objective is not classes.
lg_status lg_trainer_evaluate_exits(lg_trainer *trainer,
                                    const lg_samples *samples,
                                    double *accuracies,
                                    double *temperatures,
                                    size_t capacity,
                                    size_t *count,
                                    lg_error *error);

// As lg_trainer_predict, but each sample leaves the network by the first exit whose likeliest class has a probability of
// `confidence` or more, at the latest by its end, and passes no later unit. Writes the logits of that exit, and to `exits`
// a number for each sample: that of the exit, from 0. `temperatures` are those of lg_trainer_evaluate_exits,
// `temperature_count` of them; NULL and 0 are 1 for each.
lg_status lg_trainer_predict_early(lg_trainer *trainer,
                                   const lg_samples *samples,
                                   double confidence,
                                   const double *temperatures,
                                   size_t temperature_count,
                                   float *logits,
                                   size_t capacity,
                                   size_t *exits,
                                   lg_error *error);

// Writes how many numbers the features of a sample are, which lg_trainer_features makes. LG_STATUS_CONFIG, with what to
// set, where the first unit is trained, so that nothing stays as it is, or where a loss compares with the images.
lg_status lg_trainer_feature_count(const lg_trainer *trainer,
                                   size_t *per_sample,
                                   lg_error *error);

// Writes what the units before the first trained weight make of images of any layout and type, a row of numbers each, to
// keep and give back as often as training needs them, as LG_PIXEL_FEATURES: that trains, evaluates and predicts as the
// images do, and these units are passed once and not in every step. Images pass in groups of lg_trainer_config.batch (or
// of micro_batch), the last filled up, so that a row depends on its image alone; training on rows ends in the bytes of
// training on the images, but for last digits where a step has fewer samples than a group.
//
// Rows belong to the weights and running statistics that made them, and to the same `train` and frozen_blocks, also in
// another trainer: who sets other weights of the units that stay as they are makes rows anew. Weights are not changed
// while rows wait that were pushed (LG_STATUS_STATE).
//
// `features_bytes` is how many bytes `features` has room for, at least samples times lg_trainer_feature_count times 4.
// Labels are not looked at, and training is not changed. LG_STATUS_CONFIG as lg_trainer_feature_count says,
// LG_STATUS_CANCELLED where it was cancelled, LG_STATUS_NOT_FINITE where the network makes no numbers of an image; rows
// may be written then, too.
lg_status lg_trainer_features(lg_trainer *trainer,
                              const lg_samples *samples,
                              float *features,
                              size_t features_bytes,
                              lg_error *error);

// Takes weights and running statistics from the safetensors file at `path` (UTF-8), under torchvision's names or known
// spellings of them. `parts` is an lg_weights. A file that does not fit changes nothing; the message lists what is
// missing, misshapen or left over.
lg_status lg_trainer_load_weights(lg_trainer *trainer,
                                  const char *path,
                                  int32_t parts,
                                  lg_error *error);

// Writes the network's weights and running statistics, without auxiliary networks, into a safetensors file at `path`
// (UTF-8), at once or not at all, with what is needed to use them: network, normalisation and names of classes. The same
// weights give the same bytes. `precision` is an lg_precision.
lg_status lg_trainer_export(lg_trainer *trainer,
                            const char *path,
                            int32_t precision,
                            lg_error *error);

// Writes how many weights and running statistics the network has in `block`, from 0, or in all (LG_ALL_BLOCKS).
// Auxiliary networks are none of it.
lg_status lg_trainer_weight_count(const lg_trainer *trainer,
                                  size_t block,
                                  size_t *count,
                                  lg_error *error);

// Writes the name of weight `index`, from 0, of `block` or of all (LG_ALL_BLOCKS), UTF-8 with a zero byte at its end: the
// name that it is exported under. `*needed` becomes its size in bytes with that zero byte; a NULL buffer of capacity 0
// asks for the size alone. Too small a buffer is left as it is, with LG_STATUS_BUFFER.
lg_status lg_trainer_weight_name(const lg_trainer *trainer,
                                 size_t block,
                                 size_t index,
                                 char *buffer,
                                 size_t capacity,
                                 size_t *needed,
                                 lg_error *error);

// Describes the weight of that name.
lg_status lg_trainer_weight_describe(const lg_trainer *trainer,
                                     const char *name,
                                     lg_weight_info *info,
                                     lg_error *error);

// Copies the numbers of the weight called `name` into `buffer`, of `capacity` bytes, in an lg_precision and the machine's
// order of bytes, and their size into `*bytes`; a NULL buffer of capacity 0 asks for the size alone. Too small a buffer is
// left as it is, with LG_STATUS_BUFFER.
lg_status lg_trainer_weight_get(const lg_trainer *trainer,
                                const char *name,
                                int32_t precision,
                                void *buffer,
                                size_t capacity,
                                size_t *bytes,
                                lg_error *error);

// Sets the numbers of the weight called `name` from `buffer`, in an lg_precision and the machine's order of bytes; `bytes`
// must be exactly its size, and all numbers finite. What the optimizer remembers of it stays. LG_STATUS_STATE where a step
// is half done. After a failure nothing is changed.
lg_status lg_trainer_weight_set(lg_trainer *trainer,
                                const char *name,
                                int32_t precision,
                                const void *buffer,
                                size_t bytes,
                                lg_error *error);

// Makes `directory` (a path in UTF-8) the place of the trainer's checkpoints. Where there is one, the trainer goes back
// to it: weights, statistics, the optimizer's memory, changed settings and the number of steps, so that training ends
// in the same bytes as if it had never stopped; `*resumed` becomes 1. Otherwise the directory is made, the present state
// is saved in it, and `*resumed` becomes 0. `keep` states are kept, at least 1. One trainer in one process has a directory
// at a time. The trainer must be made as the one that wrote the checkpoint was; LG_STATUS_CONFIG names what differs. What
// was left to memory_budget_bytes may have been chosen otherwise: the trainer is then made anew as the checkpoint's was,
// where that keeps to the budget, so that lg_trainer_describe may tell other blocks; an error on the way there leaves
// is_damaged at 1.
lg_status lg_trainer_open_checkpoints(lg_trainer *trainer,
                                      const char *directory,
                                      size_t keep,
                                      int32_t *resumed,
                                      lg_error *error);

// Saves a checkpoint. A kill or a full disk leaves the one before whole. LG_STATUS_STATE where a step was interrupted.
lg_status lg_trainer_save(lg_trainer *trainer,
                          lg_error *error);

// Writes the size in bytes that lg_trainer_get_state needs now.
lg_status lg_trainer_state_bytes(lg_trainer *trainer, size_t *bytes, lg_error *error);

// Writes what a checkpoint holds into `buffer`, of `capacity` bytes, and its size into `*bytes`. Too small a buffer is
// left as it is, with LG_STATUS_BUFFER. LG_STATUS_STATE where a step was interrupted.
lg_status lg_trainer_get_state(lg_trainer *trainer,
                               void *buffer,
                               size_t capacity,
                               size_t *bytes,
                               lg_error *error);

// Goes back to a state that lg_trainer_get_state wrote, of a trainer made as this one. Every byte is checked: one that
// is damaged or of another trainer changes nothing. What was left to memory_budget_bytes may have been chosen
// otherwise, as for lg_trainer_open_checkpoints, but not after a call of that.
lg_status lg_trainer_set_state(lg_trainer *trainer,
                               const void *buffer,
                               size_t bytes,
                               lg_error *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LOCALGRAD_H */
