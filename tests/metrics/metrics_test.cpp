// The metrics give the numbers of scikit-learn and SciPy (scripts/golden/metrics.py).

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "lib/core/error.h"
#include "lib/core/json.h"
#include "lib/metrics/metric.h"
#include "tests/support/paths.h"

using namespace mtlora;

namespace {

// Checks every expected number of a file's cases; returns the names of the metrics that it named.
std::set<std::string> check_cases(const std::string& file, size_t expected_cases) {
  const Json cases =
      read_json(test::source_root() / "tests" / "cases" / "metrics" / file).at("cases");
  CHECK(cases.size() == expected_cases);
  std::set<std::string> named;
  for (const Json& c : cases) {
    const Predictions predictions{c.value("classes", std::vector<int64_t>{}),
                                  c.value("values", std::vector<double>{}),
                                  c.at("labels").get<std::vector<double>>()};
    for (const auto& [name, expected] : c.at("expect").items()) {
      INFO(file << ": " << c.at("why") << ": " << name);
      const double got = metric(name).compute(predictions);
      if (expected.is_null())
        CHECK(std::isnan(got));
      else
        CHECK(std::abs(got - expected.get<double>()) <= 1e-9);
      named.insert(name);
    }
  }
  return named;
}

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("every metric equals scikit-learn and SciPy", "[metrics]") {
  std::set<std::string> checked = check_cases("classification.json", 16);
  checked.merge(check_cases("regression.json", 15));
  std::set<std::string> listed;
  for (const Metric& m : metrics()) listed.insert(m.name);
  CHECK(listed.size() == 7);
  CHECK(checked == listed);
}

TEST_CASE("every metric has a definition and scores nothing from nothing", "[metrics]") {
  CHECK(metrics().size() == 7);
  for (const Metric& m : metrics()) {
    INFO(m.name);
    CHECK_FALSE(m.definition.empty());
    CHECK_THROWS_AS(m.compute({}), Error);
    CHECK_THROWS_AS(m.compute(Predictions{{0, 1}, {0.5, 0.5}, {1}}), Error);
  }
}

TEST_CASE("a correlation of a single example or of values that are not finite is NaN",
          "[metrics]") {
  for (const char* name : {"pearson", "spearman", "pearson_spearman"}) {
    INFO(name);
    CHECK(std::isnan(metric(name).compute(Predictions{{}, {1}, {2}})));
    CHECK(std::isnan(metric(name).compute(Predictions{{}, {1, not_a_number, 2}, {1, 2, 3}})));
  }
  CHECK(std::isnan(metric("pearson").compute(Predictions{{}, {1, infinity, 2}, {1, 2, 3}})));
  CHECK(metric("spearman").compute(Predictions{{}, {1, infinity, 2}, {1, 3, 2}}) ==
        Approx(1).epsilon(1e-12));
}

TEST_CASE("a correlation of huge or tiny values neither overflows nor vanishes", "[metrics]") {
  CHECK(metric("pearson").compute(Predictions{{}, {1e300, 2e300, 3e300}, {1, 2, 3}}) ==
        Approx(1).epsilon(1e-12));
  CHECK(metric("pearson").compute(Predictions{{}, {1e-300, 2e-300, 3e-300}, {3, 2, 1}}) ==
        Approx(-1).epsilon(1e-12));
}

TEST_CASE("a metric that is not known is named with the nearest one", "[metrics]") {
  CHECK_THROWS_WITH(metric("acuracy"), "unknown metric \"acuracy\"; did you mean \"accuracy\"?");
}

TEST_CASE("a metric that does not fit the task is an error", "[metrics]") {
  CHECK_NOTHROW(check_metrics({"accuracy", "f1", "matthews"}, 2));
  CHECK_NOTHROW(check_metrics({"pearson"}, 0));
  CHECK_THROWS_WITH(check_metrics({"accuracy", "f1"}, 3),
                    "the metric \"f1\" does not score a classification of 3 classes; these do: "
                    "accuracy, matthews");
  CHECK_THROWS_WITH(check_metrics({"accuracy"}, 0),
                    "the metric \"accuracy\" does not score a regression; these do: pearson, "
                    "pearson_spearman, spearman");
}
