/* The argument table of hone.data{...}: names are the public interface. */
#include "datasets/data_args.h"

#include <stddef.h>

static const char *const cut_names[] = {"words", "chars", "wordpiece", "bpe", NULL}; /* the first two: enum tokens_kind */
static const char *const trunc_names[] = {"head", "tail", NULL};
static const char *const target_names[] = {"auto", "class", "number", "sequence", NULL};
static const char *const missing_names[] = {"error", "drop", "mean", NULL};

#define AT(f) offsetof(struct data_args, f)
const struct arg data_arg_table[] = {
    {"name", "name of a data set, or a path to a file or folder", NULL, NULL, ARG_STR, AT(name), ARG_POSITIONAL | ARG_REQUIRED, AT_RUN, 0, 0, NULL, SRC_DATA},
    {"train", "examples of the training part, drawn by class", "rows", NULL, ARG_INT, AT(train), 0, AT_RUN, 1, 1e12},
    {"val", "examples of the validation part; cut from training where the set has none; 0: none", "rows", NULL, ARG_INT, AT(val), 0, AT_RUN, 0, 1e12},
    {"test", "examples of the test part; cut from training where the set has none; 0: none", "rows", NULL, ARG_INT, AT(test), 0, AT_RUN, 0, 1e12},
    {"split", "seed of draws and splits", NULL, "1", ARG_INT, AT(split), 0, AT_RUN, 0, 9007199254740992.0},
    {"variant", "which one of a set that has several: a language of sib200, wdbc or original of breast-cancer", NULL, NULL, ARG_STR, AT(variant)},
    {"x", "columns that are inputs: a name or a list; if absent all but the target and those that tell rows apart (numbers of the rows, names, codes)", NULL,
        NULL, ARG_VAL, AT(x)},
    {"drop", "columns that are no inputs: a name or a list", NULL, NULL, ARG_VAL, AT(drop)},
    {"y", "column of the target; a number counts columns without a header; if absent one named label, class, target .., else the last", NULL, NULL, ARG_STR,
        AT(y)},
    {"text", "column of the text", NULL, NULL, ARG_STR, AT(text)},
    {"sep", "separator of the columns, one character or \"tab\"; guessed if absent", NULL, NULL, ARG_STR, AT(sep)},
    {"header", "whether the first row names the columns: true, false or \"auto\"", NULL, NULL, ARG_VAL, AT(header)},
    {"quote", "whether a cell may stand in double quotes, which then may hold separators and line ends; if absent yes, but not where the separator is a tab",
        NULL, NULL, ARG_VAL, AT(quote)},
    {"encoding", "utf-8 or latin1", NULL, "utf-8", ARG_STR, AT(encoding)},
    {"target", "what the target is; sequence: the characters of a text or a row of class numbers, class 0 is the blank (loss ctc)", NULL, "auto", ARG_ENUM,
        AT(target), 0, AT_RUN, 0, 0, target_names},
    {"missing",
        "empty or ? cells of a table: refuse, drop the row, or take the training mean; drop: also rows without a target, pictures and sounds that cannot be "
        "read",
        NULL, "error", ARG_ENUM, AT(missing), 0, AT_RUN, 0, 0, missing_names},
    {"tokens", "how texts are cut", NULL, "words", ARG_ENUM, AT(tokens), 0, AT_RUN, 0, 0, cut_names},
    {"tokenizer", "file or folder of a pre-trained model's tokenizer: vocab.txt or tokenizer.json; sets tokens", NULL, NULL, ARG_STR, AT(tokenizer), 0, AT_RUN,
        0, 0, NULL, SRC_FILE},
    {"lower", "lower-case texts first; a stream keeps its case", NULL, "true", ARG_BOOL, AT(lower)},
    {"vocab", "ids, padding and unknown included: the most frequent tokens of the training part", NULL, "20000", ARG_INT, AT(vocab), 0, AT_RUN, 3, 16777216},
    {"len", "tokens kept of each text", NULL, NULL, ARG_INT, AT(len), 0, AT_RUN, 1, 1e9},
    {"trunc", "which end of a longer text is kept", NULL, "head", ARG_ENUM, AT(trunc), 0, AT_RUN, 0, 0, trunc_names},
    {"ngrams", "longest run of tokens that gets an id of its own, hashed", NULL, "1", ARG_INT, AT(ngrams), 0, AT_RUN, 1, 8},
    {"chars", "lengths of hashed character runs inside words, such as \"3-5\"", NULL, NULL, ARG_STR, AT(chars)},
    {"hash_buckets", "ids for hashed runs; without ngrams and chars all words are hashed and there is no vocabulary", NULL, NULL, ARG_INT, AT(hash_buckets), 0,
        AT_RUN, 2, 1e9},
    {"tfidf", "weigh tokens by TF-IDF", NULL, "false", ARG_BOOL, AT(tfidf)},
    {"stream",
        "a plain text as one stream of characters, or of tokenizer's tokens: examples are windows of len (128) tokens, the target is the token that follows",
        NULL, "false", ARG_BOOL, AT(stream)},
    {"size", "pictures: scaled so that the shorter side has so many pixels, then the middle is cut out", NULL, NULL, ARG_INT, AT(size), 0, AT_RUN, 1, 4096},
    {"frames", "sounds: frames, 10 ms apart, that each gets: longer ones are cut, silence follows shorter ones; those of the longest if not given", NULL, NULL,
        ARG_INT, AT(frames), 0, AT_RUN, 1, 60000},
    {"mel", "sounds: bands of the mel scale whose energies a frame holds", NULL, "40", ARG_INT, AT(mel), 0, AT_RUN, 2, 512},
    {"rate", "sounds: samples a second that those of other rates are resampled to; those of the first sound if not given", NULL, NULL, ARG_INT, AT(rate), 0,
        AT_RUN, 1000, 384000},
    {"normalize", "images: subtract the training mean, divide by the standard deviation (otherwise 0 to 1)", NULL, "false", ARG_BOOL, AT(normalize)},
    {"standardize",
        "number columns of tables, and targets that are numbers, to mean 0, standard deviation 1 of the training part; answers and mse, mae .. are of the "
        "numbers as they were",
        NULL, "true", ARG_BOOL, AT(standardize)},
    {NULL}};

const struct kind data_kind = {"data", "loads a data set: by name, or from a file or folder",
    "d = hone.data{ \"banking77\", val = 1000, vocab = 5000, len = 32 }", data_arg_table, sizeof(struct data_args)};
