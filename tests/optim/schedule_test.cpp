#include "lib/optim/schedule.h"

#include "lib/core/error.h"
#include "tests/support/test.h"

using namespace mtlora;

TEST_CASE("schedules rise over the warm-up and then fall as Hugging Face's", "[optim]") {
  // get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup, 10 steps, 2 of warm-up
  const Schedule linear({"linear", 0.2, {}}, 10);
  CHECK(linear.factor(0) == 0.0);
  CHECK(linear.factor(1) == 0.5);
  CHECK(linear.factor(2) == 1.0);
  CHECK(linear.factor(6) == Approx(0.5).epsilon(1e-15));
  CHECK(linear.factor(10) == 0.0);
  const Schedule cosine({"cosine", 0.2, {}}, 10);
  CHECK(cosine.factor(1) == 0.5);
  CHECK(cosine.factor(4) == Approx(0.8535533905932737).epsilon(1e-15));
  CHECK(cosine.factor(6) == Approx(0.5).epsilon(1e-15));
  const Schedule constant({"constant", 0.0, {}}, 10);
  CHECK(constant.factor(0) == 1.0);
  CHECK(constant.factor(9) == 1.0);
}

TEST_CASE("the warm-up's share is rounded up to steps; its steps win over its share", "[optim]") {
  CHECK(Schedule({"linear", 0.06, {}}, 101).warmup_steps() == 7);
  CHECK(Schedule({"linear", 0.06, 3}, 101).warmup_steps() == 3);
  CHECK_THROWS_AS(Schedule({"linear", 0.06, 11}, 10), Error);
}
