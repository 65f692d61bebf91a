#!/usr/bin/env bash
# Makes the sample app as a file that can be installed: target/android/sample.apk, shrunk by the library's own rules and
# signed with a key made for the purpose. Gradle does the same where it has Android's tools; this does it without them.
# usage: scripts/build-apk.sh [TARGET…]      the processors, as of scripts/build-aar.sh, which it begins with
# exits 3, with the reason as its last line, where a machine cannot
set -euo pipefail
cd "$(dirname "$0")/.."

# What Android's build tools shrink and translate classes by.
shrinker=8.5.35
scripts/build-aar.sh "$@"
for tool in aapt2 zipalign apksigner; do
  command -v "$tool" >/dev/null || scripts/debian-packages.sh aapt zipalign apksigner
done
out=$(cd "${CARGO_TARGET_DIR:-target}/android" && pwd)
repository=$HOME/.m2/repository
version() { sed -n "s/.*<$1.version>\(.*\)<.*/\1/p" android/pom.xml; }
jar_of() { # group artifact version
  local file=$repository/${1//.//}/$2/$3/$2-$3.jar
  [ -e "$file" ] || mvn --batch-mode --quiet dependency:get -Dartifact="$1:$2:$3" -Dtransitive=false >&2 || {
    echo "Maven cannot fetch $1:$2:$3" && exit 3
  }
  echo "$file"
}
mvn --batch-mode --no-transfer-progress --quiet --file android/pom.xml -Dlocalgrad.build="$out" -Dmaven.test.skip=true package
r8=$(jar_of com.android.tools r8 "$shrinker")
framework=$(jar_of org.robolectric android-all "$(version android)")
kotlin=$(jar_of org.jetbrains.kotlin kotlin-stdlib "$(version kotlin)")
coroutines=$(jar_of org.jetbrains.kotlinx kotlinx-coroutines-core-jvm "$(version coroutines)")

work=$out/apk
rm -rf "$work" && mkdir -p "$work"
aapt2 link -I "$framework" --manifest android/sample/src/main/AndroidManifest.xml --version-code 1 --version-name 0.1.0 \
  --proguard "$work/components.pro" -o "$work/bare.apk" 2>"$work/link.log" || { cat "$work/link.log" && exit 1; }
# Of a Java that phones do not have, or of nobody's at run time.
printf -- '-dontwarn %s\n' 'java.**' 'javax.**' 'sun.**' 'libcore.**' 'org.jetbrains.annotations.**' >"$work/others.pro"
java_home=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
java -cp "$r8" com.android.tools.r8.R8 --release --min-api 24 --lib "$framework" --lib "$java_home" --output "$work/dex.zip" \
  --pg-conf "$work/components.pro" --pg-conf "$out/aar/proguard.txt" --pg-conf "$work/others.pro" \
  "$out"/sample/sample-*.jar "$out/aar/classes.jar" "$kotlin" "$coroutines" >"$work/r8.log" 2>&1 || {
  tail -n 20 "$work/r8.log" && exit 1
}
(cd "$work" && jar --extract --file dex.zip)
# The native side registers each of these by its name, so a rule that is missing would be found by the first call only.
names=$(sed -n 's/.*external fun \([A-Za-z0-9]*\).*/\1/p; s/^    fun \([a-z]*\)(.*/\1/p' \
  android/localgrad/src/main/kotlin/org/localgrad/Native.kt)
for name in $names 'Lorg/localgrad/Native;' 'Lorg/localgrad/sample/TrainingJob;'; do
  grep -qaF "$name" "$work"/classes*.dex || { echo "$name was shrunk away; it is missing in consumer-rules.pro" && exit 1; }
done
mkdir -p "$work/lib" && cp -r "$out"/jni/* "$work/lib/"
cp "$work/bare.apk" "$work/whole.apk"
(cd "$work" && jar --update --no-manifest --file whole.apk classes*.dex lib)
zipalign -f 4 "$work/whole.apk" "$work/aligned.apk"
keytool -genkeypair -keystore "$work/key" -storepass sample -alias sample -keyalg RSA -keysize 2048 -validity 10000 \
  -dname CN=sample 2>/dev/null
apksigner sign --ks "$work/key" --ks-pass pass:sample --min-sdk-version 24 --out "$out/sample.apk" "$work/aligned.apk"
apksigner verify --min-sdk-version 24 "$out/sample.apk"
aapt2 dump badging "$out/sample.apk" 2>/dev/null | grep -E '^(package|sdkVersion|launchable-activity|native-code)'
echo "$out/sample.apk: $(stat -c %s "$out/sample.apk") bytes"
