import Foundation
import Localgrad

/// Learns fruit from photos for as long as the app may, and goes on where it left off.
func learnFruit(photos: ImageSet, photo: Data, weights: URL, directory: URL) async throws -> Bool {
  let network = try Network(contentsOf: weights).replacingHead(classes: ["apple", "pear", "plum"])
  let trainer = try Trainer(
    network, .init(memoryBudget: .mebibytes(64), train: .lastUnits(2), checkpoints: directory))
  try await trainer.setSource(photos)
  let following = Task {
    for try await event in trainer.events { if let share = event.progress { print("\(Int(share * 100)) %") } }
  }
  defer { following.cancel() }
  let result = try await trainer.train(epochs: 10, deadline: .seconds(25))  // a cancelled task stops between two blocks
  guard result.reason == .done else { return false }
  try await trainer.export(to: directory.appendingPathComponent("fruit.safetensors"))
  let best = try await trainer.predict(image: photo).first
  print("\(best?.name ?? "nothing"), \(best?.probability ?? 0)")
  return true
}
