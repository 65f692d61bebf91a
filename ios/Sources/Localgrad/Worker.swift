// The thread of a trainer: calls that take long are made there, one after the other, and no actor waits for them.

import Foundation

final class Worker: Sendable {
  private let queue = JobQueue()
  private let isStarted = Locked(false)

  /// Does `job` after those before it. The thread starts with the first.
  func run(_ job: @escaping @Sendable () -> Void) {
    queue.add(job)
    let starts = isStarted.use { started in
      defer { started = true }
      return !started
    }
    guard starts else { return }
    let queue = queue
    let thread = Thread { queue.work() }
    thread.name = "localgrad"
    // Training is never what a person waits for at this moment.
    thread.qualityOfService = .utility
    thread.start()
  }

  /// The thread ends after the jobs that wait.
  func end() {
    queue.end()
  }

  deinit {
    queue.end()
  }
}

private final class JobQueue: @unchecked Sendable {
  private let condition = NSCondition()
  private var jobs: [@Sendable () -> Void] = []
  private var ends = false

  func add(_ job: @escaping @Sendable () -> Void) {
    condition.lock()
    jobs.append(job)
    condition.signal()
    condition.unlock()
  }

  func end() {
    condition.lock()
    ends = true
    condition.signal()
    condition.unlock()
  }

  func work() {
    while let job = next() { autoreleased(job) }
  }

  private func autoreleased(_ job: () -> Void) {
    #if canImport(ObjectiveC)
      autoreleasepool { job() }
    #else
      job()
    #endif
  }

  private func next() -> (@Sendable () -> Void)? {
    condition.lock()
    defer { condition.unlock() }
    while jobs.isEmpty && !ends { condition.wait() }
    return jobs.isEmpty ? nil : jobs.removeFirst()
  }
}
