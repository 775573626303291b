//! The plan as a whole: sizes, disjointness, order, cost, spread over members.
