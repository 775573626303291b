//! The cases of the plan.
