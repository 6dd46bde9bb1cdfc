//! What was altered in a folder does not open.

use futures::StreamExt;

use iassistance_storage::ContentError;

use super::{ADA, FRAME, ONE, OVERHEAD, Room, content, media, put, read};

#[tokio::test]
async fn what_was_altered_does_not_open() {
    let room = Room::new();
    let bytes = content(2 * FRAME + 10);
    put(&room.store, ADA, media(1), bytes).await.unwrap();
    let (path, head) = (room.file(ONE, media(1)), 58);
    let whole = std::fs::read(&path).unwrap();
    assert!(!contains(&whole, b"passport") && !contains(&whole, b"application/pdf"));
    let label = whole.len() - head - 3 * OVERHEAD - 2 * FRAME - 10;
    let (first, sealed_frame) = (head + label, FRAME + OVERHEAD);
    let second = first + sealed_frame;
    let third = second + sealed_frame;
    let refused = |altered: Vec<u8>| {
        std::fs::write(&path, altered).unwrap();
        let store = room.store.clone();
        async move {
            matches!(read(&store, ONE, media(1)).await, Err(ContentError::Damaged { media: id }) if id == media(1))
        }
    };
    for place in
        [0, 4, 40, 56, head, head + label - 1, first, second - 1, second + 100, third, whole.len() - 1]
    {
        let mut altered = whole.clone();
        altered[place] ^= 1;
        assert!(refused(altered).await, "byte {place}");
    }
    for place in [5, 10, 25] {
        let mut altered = whole.clone();
        altered[place] ^= 1;
        std::fs::write(&path, altered).unwrap();
        assert!(room.store.get(ONE, media(1)).await.is_err(), "byte {place} says whose key it is");
    }
    for length in [0, 10, head, first, first + 1, second, third, third + OVERHEAD, whole.len() - 1] {
        assert!(refused(whole[..length].to_vec()).await, "cut to {length}");
    }
    let longer = [&whole[..], &[0]].concat();
    assert!(refused(longer).await, "longer");
    let swapped = [&whole[..first], &whole[second..third], &whole[first..second], &whole[third..]].concat();
    assert!(refused(swapped).await, "frames in another order");
    let without = [&whole[..first], &whole[second..]].concat();
    assert!(refused(without).await, "without a frame");
    let twice = [&whole[..second], &whole[first..]].concat();
    assert!(refused(twice).await, "a frame twice");
    assert!(!refused(whole).await, "as it was it opens");
}

#[tokio::test]
async fn what_is_sound_before_the_damage_is_handed_out() {
    let room = Room::new();
    put(&room.store, ADA, media(1), content(3 * FRAME)).await.unwrap();
    let path = room.file(ONE, media(1));
    let mut altered = std::fs::read(&path).unwrap();
    *altered.last_mut().unwrap() ^= 1;
    std::fs::write(&path, altered).unwrap();
    let opened = room.store.get(ONE, media(1)).await.unwrap().unwrap();
    let frames: Vec<_> = opened.stream.collect().await;
    assert!(frames[0].is_ok() && frames[1].is_ok() && frames[2].is_err());
    assert_eq!(frames.len(), 3, "nothing comes after an error");
}

#[tokio::test]
async fn frames_belong_to_one_writing_of_one_file() {
    let room = Room::new();
    put(&room.store, ADA, media(1), content(2 * FRAME)).await.unwrap();
    put(&room.store, ADA, media(2), content(2 * FRAME)).await.unwrap();
    let path = room.file(ONE, media(1));
    let first = std::fs::read(&path).unwrap();
    let other = std::fs::read(room.file(ONE, media(2))).unwrap();
    put(&room.store, ADA, media(1), content(2 * FRAME)).await.unwrap();
    let second = std::fs::read(&path).unwrap();
    let last_frame = first.len() - FRAME - OVERHEAD;
    for stranger in [&other, &second] {
        let mixed = [&first[..last_frame], &stranger[last_frame..]].concat();
        std::fs::write(&path, mixed).unwrap();
        assert!(matches!(read(&room.store, ONE, media(1)).await, Err(ContentError::Damaged { .. })));
    }
    std::fs::write(&path, other).unwrap();
    assert!(
        matches!(room.store.get(ONE, media(1)).await, Err(ContentError::Damaged { .. })),
        "another's file"
    );
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}
