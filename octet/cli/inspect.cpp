#include <iostream>

#include "octet/cli/common.h"
#include "octet/cli/print.h"
#include "octet/cli/verbs.h"
#include "octet/formats/tflite.h"
#include "octet/integer/memory_plan.h"
#include "octet/report/model_reports.h"
#include "octet/support/error.h"

namespace octet::cli {

void inspect(const InspectArguments& arguments) {
  if (is_program(arguments.model) && !arguments.graph) {
    tflite::Model program = tflite::read(arguments.model.path);
    const integer::MemoryPlan memory = integer::plan_memory(program);
    print(report::ProgramReport{std::move(program), memory}, arguments.json);
    return;
  }
  const auto module = open_model(arguments.model);
  if (arguments.graph) {
    std::cout << module->graph().table();
    return;
  }
  const report::ModelReport report = report::model_report(*module);
  if (arguments.json && report.rows) {
    std::cout << rows_text(*report.rows) << '\n';  // a line a row
  } else {
    print(report, arguments.json);
  }
}

}  // namespace octet::cli
