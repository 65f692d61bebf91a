import Foundation
import Localgrad

func learn(
  _ photos: some SampleSource, _ base: URL,
  _ checkpoints: URL, _ learned: URL
) async throws {
  let network = try Network(contentsOf: base)
    .replacingHead(
      classes: ["apple", "pear", "plum"])
  let trainer = try Trainer(
    network,
    .init(
      memoryBudget: .mebibytes(64),
      train: .lastUnits(1),
      checkpoints: checkpoints))
  try await trainer.setSource(photos)
  try await trainer.train(deadline: .seconds(25))
  try await trainer.export(to: learned)
}
