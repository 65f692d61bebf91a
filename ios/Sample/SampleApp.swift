// An app that learns fruit.

#if os(iOS)
  import Localgrad
  import SwiftUI

  @main
  struct SampleApp: App {
    private let fruit: Fruit

    init() {
      let support = URL.applicationSupportDirectory.appending(path: "fruit")
      // Where it is not in the app, training says so.
      let weights = Bundle.main.bundleURL.appending(path: "resnet20.safetensors")
      fruit = Fruit(weights: weights, directory: support)
      BackgroundTraining.register(fruit)
    }

    var body: some Scene {
      WindowGroup { TrainingView(training: Training(fruit)) }
    }
  }

  /// What the view shows.
  @MainActor
  final class Training: ObservableObject {
    @Published var progress = 0.0
    @Published var message = "Not begun"
    private let fruit: Fruit
    private var task: Task<Void, Never>?

    init(_ fruit: Fruit) {
      self.fruit = fruit
    }

    var isRunning: Bool { task != nil }

    func start() {
      message = "Learning"
      task = Task {
        do {
          let done = try await fruit.trainSlice(.seconds(60), conditions: Conditions.stream()) { share in
            Task { @MainActor in self.progress = share }
          }
          message = done ? "Learned" : "To be continued"
          if !done { try BackgroundTraining.schedule() }
        } catch {
          message = error.localizedDescription
        }
        task = nil
      }
    }

    func stop() {
      task?.cancel()
    }

    /// A photo as the network sees it.
    func add(_ photo: CGImage, as name: String) async {
      do {
        let personalizer = try await fruit.personalizer()
        defer { personalizer.close() }
        try await personalizer.add(try personalizer.image(of: photo), as: name)
        message = "\(await personalizer.counts[name] ?? 0) photos of \(name)"
      } catch {
        message = error.localizedDescription
      }
    }
  }

  extension Personalizer {
    /// What the network sees of a picture, drawn once into rows of BGRA.
    nonisolated func image(of photo: CGImage) throws -> Data {
      let (width, height) = (photo.width, photo.height)
      let context = CGContext(
        data: nil, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 0, space: CGColorSpaceCreateDeviceRGB(),
        bitmapInfo: CGImageAlphaInfo.premultipliedFirst.rawValue | CGBitmapInfo.byteOrder32Little.rawValue)
      guard let context, let place = context.data else { throw LocalgradError.argument("the photo cannot be drawn") }
      context.draw(photo, in: CGRect(x: 0, y: 0, width: width, height: height))
      let rows = UnsafeRawBufferPointer(start: place, count: context.bytesPerRow * height)
      return try trainer.network.image(
        of: Frame(rows, width: width, height: height, rowBytes: context.bytesPerRow, format: .bgra))
    }
  }

  struct TrainingView: View {
    @StateObject var training: Training

    var body: some View {
      VStack(spacing: 20) {
        Text(training.message)
        ProgressView(value: training.progress)
        Button(training.isRunning ? "Stop" : "Learn") {
          if training.isRunning { training.stop() } else { training.start() }
        }
      }
      .padding()
    }
  }
#endif
