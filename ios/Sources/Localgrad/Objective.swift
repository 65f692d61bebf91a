// What a network answers with.

/// What a network's outputs stand for, and the loss that they are trained by.
public enum Objective: Sendable, Hashable {
  /// A sample is of one class: softmax cross-entropy. Samples come with labels, or with the share of each class as targets,
  /// as of images that were mixed.
  case classes
  /// A sample has each label or has it not: sigmoid binary cross-entropy. Targets are 1 for one that it has, else 0.
  case labels
  /// A sample has values: their squared error. Targets are these.
  case values
  /// A sample has values: their Huber loss, which grows in proportion to errors from `delta` on. Targets are these.
  case huber(delta: Double)

  init(_ number: Int32, huberDelta: Double) {
    switch number {
    case 1: self = .labels
    case 2: self = .values
    case 3: self = .huber(delta: huberDelta)
    default: self = .classes
    }
  }

  /// Its `lg_objective`, and the number that goes with it; looked at where there is one.
  var inC: (number: Int32, huberDelta: Double) {
    switch self {
    case .classes: return (0, 1)
    case .labels: return (1, 1)
    case .values: return (2, 1)
    case .huber(let delta): return (3, delta)
    }
  }

  /// Whether outputs are no sign of how likely something is.
  var areValues: Bool {
    switch self {
    case .classes, .labels: return false
    case .values, .huber: return true
    }
  }
}
