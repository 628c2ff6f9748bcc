// Inverse circular functions and the error function, which TFLite has no operator for, in float by polynomials
// (Cephes' of single precision; Abramowitz and Stegun 7.1.26 for the error function's tails).

#include <numbers>

#include "octet/lowering/operators/choices.h"
#include "octet/lowering/operators/float_steps.h"

namespace octet::lowering {

using tflite::OpCode;

namespace {

constexpr double kPi = std::numbers::pi;

// The steps of one call.
struct Angles {
  FloatSteps& steps;

  template <typename A, typename B>
  ValueId two(OpCode code, A a, B b) const {
    return steps.two(code, a, b);
  }
  ValueId is_above(ValueId x, double bound) const { return steps.compared(OpCode::kGreater, x, steps.number(bound)); }

  // The coefficients from the highest power down.
  ValueId polynomial(ValueId x, std::initializer_list<double> coefficients) const {
    auto each = coefficients.begin();
    ValueId sum = two(OpCode::kAdd, two(OpCode::kMul, x, *each), *(each + 1));
    for (each += 2; each != coefficients.end(); ++each) sum = two(OpCode::kAdd, two(OpCode::kMul, sum, x), *each);
    return sum;
  }

  // x (1 + z p(z)), z = x x
  ValueId odd(ValueId x, std::initializer_list<double> coefficients) const {
    const ValueId z = two(OpCode::kMul, x, x);
    return two(OpCode::kAdd, x, two(OpCode::kMul, x, two(OpCode::kMul, z, polynomial(z, coefficients))));
  }

  // Of 0 to 1.
  ValueId arc_tangent(ValueId x) const {
    const ValueId is_far = is_above(x, std::numbers::sqrt2 - 1);
    const ValueId turned = two(OpCode::kDiv, two(OpCode::kSub, x, 1.0), two(OpCode::kAdd, x, 1.0));
    const ValueId near = odd(steps.chosen(is_far, turned, x),
                             {8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1});
    return steps.chosen(is_far, two(OpCode::kAdd, near, kPi / 4), near);
  }

  // Of 0 to 1/2.
  ValueId arc_sine(ValueId x) const {
    return odd(x, {4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1});
  }
};

ValueId arc_tangent(const Angles& f, ValueId x) {
  const ValueId size = f.steps.one(OpCode::kAbs, x);
  const ValueId ratio = f.two(OpCode::kDiv, f.two(OpCode::kMinimum, size, 1.0), f.two(OpCode::kMaximum, size, 1.0));
  const ValueId angle = f.arc_tangent(ratio);
  const ValueId whole = f.steps.chosen(f.is_above(size, 1.0), f.two(OpCode::kSub, kPi / 2, angle), angle);
  return f.two(OpCode::kMul, whole, f.steps.one(OpCode::kSign, x));
}

// The angle whose sine is |x|, from its half where |x| is above 1/2: what is chosen there, and its arc sine.
struct HalfAngle {
  ValueId is_far;
  ValueId arc;
};

HalfAngle half_angle(const Angles& f, ValueId size) {
  const ValueId is_far = f.is_above(size, 0.5);
  const ValueId half = f.two(OpCode::kMul, f.two(OpCode::kSub, 1.0, size), 0.5);
  return {is_far, f.arc_sine(f.steps.chosen(is_far, f.steps.one(OpCode::kSqrt, half), size))};
}

ValueId arc_sine(const Angles& f, ValueId x) {
  const auto [is_far, arc] = half_angle(f, f.steps.one(OpCode::kAbs, x));
  const ValueId far = f.two(OpCode::kSub, kPi / 2, f.two(OpCode::kMul, arc, 2.0));
  return f.two(OpCode::kMul, f.steps.chosen(is_far, far, arc), f.steps.one(OpCode::kSign, x));
}

ValueId arc_cosine(const Angles& f, ValueId x) {
  const auto [is_far, arc] = half_angle(f, f.steps.one(OpCode::kAbs, x));
  const ValueId twice = f.two(OpCode::kMul, arc, 2.0);
  const ValueId far = f.steps.chosen(f.is_above(x, 0.0), twice, f.two(OpCode::kSub, kPi, twice));
  const ValueId near = f.two(OpCode::kSub, kPi / 2, f.two(OpCode::kMul, arc, f.steps.one(OpCode::kSign, x)));
  return f.steps.chosen(is_far, far, near);
}

ValueId error_function(const Angles& f, ValueId x) {
  const ValueId size = f.steps.one(OpCode::kAbs, x);
  const ValueId z = f.two(OpCode::kMul, x, x);
  const ValueId near =
      f.two(OpCode::kMul, x,
            f.polynomial(f.two(OpCode::kMinimum, z, 1.0),
                         {7.853861353153693e-5, -8.010193625184903e-4, 5.188327685732524e-3, -2.685381193529856e-2,
                          1.128358514861418e-1, -3.761262582423300e-1, 1.128379165726710}));
  const ValueId t = f.two(OpCode::kDiv, 1.0, f.two(OpCode::kAdd, f.two(OpCode::kMul, size, 0.3275911), 1.0));
  const ValueId tail =
      f.two(OpCode::kMul, f.polynomial(t, {1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0.0}),
            f.steps.one(OpCode::kExp, f.steps.one(OpCode::kNeg, z)));
  const ValueId far = f.two(OpCode::kMul, f.two(OpCode::kSub, 1.0, tail), f.steps.one(OpCode::kSign, x));
  return f.steps.chosen(f.is_above(size, 1.0), far, near);
}

}  // namespace

void lower_angle(OperatorLowering& op) {
  FloatSteps steps(op, op.laid_out(op.node().sizes()));
  const Angles f{steps};
  const ValueId x = op.input("self");
  const std::string_view name = op.node().op().short_name();
  if (name.starts_with("atan")) return op.alias(arc_tangent(f, x));
  if (name.starts_with("asin")) return op.alias(arc_sine(f, x));
  op.alias(name.starts_with("acos") ? arc_cosine(f, x) : error_function(f, x));
}

// The angle of the lesser to the greater, turned to its eighth of the circle.
void lower_atan2(OperatorLowering& op) {
  const std::vector<int64_t> shape = op.laid_out(op.node().sizes());
  FloatSteps steps(op, shape);
  const Angles f{steps};
  const ValueId rise = op.operand("self"), run = op.operand("other");
  const auto whole = [&](ValueId value) {
    if (op.shape_of(value) == shape) return value;
    return steps.chosen(steps.compared(OpCode::kEqual, rise, run), value, value);
  };
  const ValueId y = whole(rise), x = whole(run);
  const ValueId high = steps.one(OpCode::kAbs, y), wide = steps.one(OpCode::kAbs, x);
  constexpr double kLeast = 1e-37;  // 0 / 0 is 0
  const ValueId greater = f.two(OpCode::kMaximum, f.two(OpCode::kMaximum, high, wide), kLeast);
  const ValueId eighth = f.arc_tangent(f.two(OpCode::kDiv, f.two(OpCode::kMinimum, high, wide), greater));
  const ValueId is_steep = steps.compared(OpCode::kGreater, high, wide);
  const ValueId quarter = steps.chosen(is_steep, f.two(OpCode::kSub, kPi / 2, eighth), eighth);
  const ValueId is_left = steps.compared(OpCode::kLess, x, steps.number(0.0));
  const ValueId half = steps.chosen(is_left, f.two(OpCode::kSub, kPi, quarter), quarter);
  const ValueId is_below = steps.compared(OpCode::kLess, y, steps.number(0.0));
  op.alias(steps.chosen(is_below, steps.one(OpCode::kNeg, half), half));
}

}  // namespace octet::lowering
