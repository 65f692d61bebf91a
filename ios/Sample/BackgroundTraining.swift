// Training while the app is away: slices that the system grants, tonight and tomorrow.

#if os(iOS)
  import BackgroundTasks
  import Foundation

  /// Both identifiers stand in Info.plist under BGTaskSchedulerPermittedIdentifiers.
  enum BackgroundTraining {
    static let nightly = "org.localgrad.sample.train"
    static let continued = "org.localgrad.sample.train.now"

    /// Before the app has finished launching.
    static func register(_ fruit: Fruit) {
      BGTaskScheduler.shared.register(forTaskWithIdentifier: nightly, using: nil) { task in
        run(task, fruit) { _ in }
      }
      if #available(iOS 26.0, *) {
        BGTaskScheduler.shared.register(forTaskWithIdentifier: continued, using: nil) { task in
          guard let task = task as? BGContinuedProcessingTask else { return task.setTaskCompleted(success: false) }
          task.progress.totalUnitCount = 1000
          run(task, fruit) { share in task.progress.completedUnitCount = Int64(share * 1000) }
        }
      }
    }

    /// Asks for a slice while the phone is charging, most likely at night.
    static func schedule() throws {
      let request = BGProcessingTaskRequest(identifier: nightly)
      request.requiresExternalPower = true
      request.requiresNetworkConnectivity = false
      try BGTaskScheduler.shared.submit(request)
    }

    /// Goes on at once, also when the person leaves the app; the system shows how far it is.
    @available(iOS 26.0, *)
    static func continueNow() throws {
      let request = BGContinuedProcessingTaskRequest(
        identifier: continued, title: "Learning fruit", subtitle: "On this phone alone")
      request.strategy = .queue
      try BGTaskScheduler.shared.submit(request)
    }

    private static func run(_ task: BGTask, _ fruit: Fruit, progress: @escaping @Sendable (Double) -> Void) {
      nonisolated(unsafe) let task = task
      let training = Task {
        do {
          let done = try await fruit.trainSlice(.seconds(300), conditions: Conditions.stream(), progress: progress)
          // What is not done today goes on tomorrow.
          if !done { try schedule() }
          task.setTaskCompleted(success: done)
        } catch {
          task.setTaskCompleted(success: false)
        }
      }
      // The trainer stops before its next block, and the last checkpoint counts.
      task.expirationHandler = { training.cancel() }
    }
  }
#endif
