// GLUE: Wang et al. 2018, "GLUE: A multi-task benchmark and analysis platform for natural language
// understanding", arXiv:1804.07461. Class order and column names of the Hugging Face layout are
// those of the data set `glue` there, so that its classifiers can be used as they are.

#include "lib/data/glue_tasks.h"

namespace mtlora {
namespace {

constexpr auto classification = TaskKind::classification;
constexpr auto regression = TaskKind::regression;

const std::vector<std::string> zero_one = {"0", "1"};
const std::vector<std::string> entailment = {"entailment", "not_entailment"};

std::string archive(const std::string& file) {
  return file + " of the GLUE benchmark (https://dl.fbaipublicfiles.com/glue/data/" + file + ")";
}

// The begin and the end of MNLI's headers; annotators' labels stand between.
const std::string mnli_texts =
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2";

}  // namespace

const std::vector<GlueTask>& glue_tasks() {
  static const std::vector<GlueTask> table = {
      {.name = "cola",
       .summary = "CoLA: is the sentence acceptable English?",
       .source = archive("CoLA.zip"),
       .info = {.kind = classification,
                .labels = {"unacceptable", "acceptable"},
                .metrics = {"matthews", "accuracy"},
                .main_metric = "matthews"},
       .columns = {"sentence", {}, "label"},
       .official = {"sentence", {}, "label"},
       .labels = zero_one,
       .headers = {"index\tsentence"},
       .headerless = "source\tlabel\tmark\tsentence"},
      {.name = "sst2",
       .summary = "SST-2: is the review's sentence positive?",
       .source = archive("SST-2.zip"),
       .info = {.kind = classification,
                .labels = {"negative", "positive"},
                .metrics = {"accuracy"},
                .main_metric = "accuracy"},
       .columns = {"sentence", {}, "label"},
       .official = {"sentence", {}, "label"},
       .labels = zero_one,
       .headers = {"sentence\tlabel", "index\tsentence"}},
      {.name = "mrpc",
       .summary = "MRPC: does one sentence paraphrase the other?",
       .source = "MRPC of the GLUE benchmark (its train.tsv and dev.tsv are made of "
                 "msr_paraphrase_train.txt of the Microsoft Research Paraphrase Corpus)",
       .info = {.kind = classification,
                .labels = {"not_equivalent", "equivalent"},
                .has_pair = true,
                .metrics = {"accuracy", "f1", "accuracy_f1"},
                .main_metric = "accuracy_f1"},
       .columns = {"sentence1", "sentence2", "label"},
       .official = {"#1 String", "#2 String", "Quality"},
       .labels = zero_one,
       .headers = {"Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
                   "index\t#1 ID\t#2 ID\t#1 String\t#2 String"}},
      {.name = "stsb",
       .summary = "STS-B: how similar are the sentences, from 0 to 5?",
       .source = archive("STS-B.zip"),
       .info = {.kind = regression,
                .has_pair = true,
                .metrics = {"pearson", "spearman", "pearson_spearman"},
                .main_metric = "pearson_spearman",
                .low = 0,
                .high = 5},
       .columns = {"sentence1", "sentence2", "label"},
       .official = {"sentence1", "sentence2", "score"},
       .headers =
           {"index\tgenre\tfilename\tyear\told_"
            "index\tsource1\tsource2\tsentence1\tsentence2\tscore",
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2"}},
      {.name = "qqp",
       .summary = "QQP: do the questions ask the same?",
       .source = archive("QQP-clean.zip"),
       .info = {.kind = classification,
                .labels = {"not_duplicate", "duplicate"},
                .has_pair = true,
                .metrics = {"accuracy", "f1", "accuracy_f1"},
                .main_metric = "accuracy_f1"},
       .columns = {"question1", "question2", "label"},
       .official = {"question1", "question2", "is_duplicate"},
       .labels = zero_one,
       .headers = {"id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
                   "id\tquestion1\tquestion2"},
       .headerless = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"},
      {.name = "mnli",
       .summary = "MNLI: does the premise entail the hypothesis, contradict it, or neither?",
       .source = archive("MNLI.zip"),
       .info = {.kind = classification,
                .labels = {"entailment", "neutral", "contradiction"},
                .has_pair = true,
                .metrics = {"accuracy"},
                .main_metric = "accuracy"},
       .columns = {"premise", "hypothesis", "label"},
       .official = {"sentence1", "sentence2", "gold_label"},
       .labels = {"entailment", "neutral", "contradiction"},
       .headers = {mnli_texts + "\tlabel1\tgold_label",
                   mnli_texts + "\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label", mnli_texts},
       .has_mismatched = true},
      {.name = "qnli",
       .summary = "QNLI: does the sentence hold the question's answer?",
       .source = archive("QNLIv2.zip"),
       .info = {.kind = classification,
                .labels = entailment,
                .has_pair = true,
                .metrics = {"accuracy"},
                .main_metric = "accuracy"},
       .columns = {"question", "sentence", "label"},
       .official = {"question", "sentence", "label"},
       .labels = entailment,
       .headers = {"index\tquestion\tsentence\tlabel", "index\tquestion\tsentence"}},
      {.name = "rte",
       .summary = "RTE: does the first text entail the second?",
       .source = archive("RTE.zip"),
       .info = {.kind = classification,
                .labels = entailment,
                .has_pair = true,
                .metrics = {"accuracy"},
                .main_metric = "accuracy"},
       .columns = {"sentence1", "sentence2", "label"},
       .official = {"sentence1", "sentence2", "label"},
       .labels = entailment,
       .headers = {"index\tsentence1\tsentence2\tlabel", "index\tsentence1\tsentence2"}},
      {.name = "wnli",
       .summary = "WNLI: does the text with the pronoun replaced follow?",
       .source = archive("WNLI.zip"),
       .info = {.kind = classification,
                .labels = {"not_entailment", "entailment"},
                .has_pair = true,
                .metrics = {"accuracy"},
                .main_metric = "accuracy"},
       .columns = {"sentence1", "sentence2", "label"},
       .official = {"sentence1", "sentence2", "label"},
       .labels = zero_one,
       .headers = {"index\tsentence1\tsentence2\tlabel", "index\tsentence1\tsentence2"}},
  };
  return table;
}

}  // namespace mtlora
