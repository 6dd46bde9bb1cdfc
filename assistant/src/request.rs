//! The one place where requests to the model's server are made: nothing is stored there, and of the contact it
//! learns a keyed hash and what was written and shown, no more. [`gate`](crate::gate) looks at each once more.

use async_openai::types::audio::{AudioInput, AudioResponseFormat, CreateTranscriptionRequest};
use async_openai::types::chat::{
    ChatCompletionMessageToolCall, ChatCompletionMessageToolCalls, ChatCompletionRequestAssistantMessage,
    ChatCompletionRequestAssistantMessageContent, ChatCompletionRequestMessage,
    ChatCompletionRequestMessageContentPartImage, ChatCompletionRequestMessageContentPartText,
    ChatCompletionRequestSystemMessage, ChatCompletionRequestToolMessage,
    ChatCompletionRequestToolMessageContent, ChatCompletionRequestUserMessage,
    ChatCompletionRequestUserMessageContent, ChatCompletionRequestUserMessageContentPart,
    ChatCompletionStreamOptions, ChatCompletionTool, ChatCompletionTools, CreateChatCompletionRequest,
    FunctionCall, FunctionObject, ImageUrl,
};
use async_openai::types::embeddings::{CreateEmbeddingRequest, EmbeddingInput, EncodingFormat};
use async_openai::types::moderations::{CreateModerationRequest, ModerationInput};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use iassistance_domain::pii::Reply;

use crate::generate::{Part, Prompt, PromptMessage, Role};
use crate::tools::{ToolCall, ToolSpec};

/// A prompt as the server reads it.
pub(crate) fn chat(model: String, prompt: &Prompt) -> CreateChatCompletionRequest {
    let tools: Vec<_> = prompt.tools.iter().map(tool).collect();
    CreateChatCompletionRequest {
        messages: prompt.messages.iter().map(message).collect(),
        model,
        store: Some(false),
        safety_identifier: Some(prompt.safety_identifier.clone()),
        max_completion_tokens: Some(prompt.output_tokens_max),
        temperature: prompt.temperature,
        tools: (!tools.is_empty()).then_some(tools),
        stream: Some(true),
        stream_options: Some(ChatCompletionStreamOptions {
            include_usage: Some(true),
            include_obfuscation: None,
        }),
        ..CreateChatCompletionRequest::default()
    }
}

/// Texts whose vectors are wanted.
pub(crate) fn embedding(model: String, texts: Vec<String>) -> CreateEmbeddingRequest {
    CreateEmbeddingRequest {
        model,
        input: EmbeddingInput::StringArray(texts),
        encoding_format: Some(EncodingFormat::Float),
        ..CreateEmbeddingRequest::default()
    }
}

/// A recording that is to be written down, under a name that says its type alone.
pub(crate) fn transcription(model: String, filename: String, bytes: Bytes) -> CreateTranscriptionRequest {
    CreateTranscriptionRequest {
        file: AudioInput::from_bytes(filename, bytes),
        model,
        response_format: Some(AudioResponseFormat::Json),
        ..CreateTranscriptionRequest::default()
    }
}

/// Texts that are to be judged.
pub(crate) fn moderation(model: String, texts: Vec<String>) -> CreateModerationRequest {
    CreateModerationRequest { input: ModerationInput::StringArray(texts), model: Some(model) }
}

fn message(message: &PromptMessage) -> ChatCompletionRequestMessage {
    let text = message.words();
    match message.role {
        Role::System => ChatCompletionRequestMessage::System(ChatCompletionRequestSystemMessage::from(text)),
        Role::User if message.images() == 0 => {
            ChatCompletionRequestMessage::User(ChatCompletionRequestUserMessage::from(text))
        }
        Role::User => ChatCompletionRequestMessage::User(ChatCompletionRequestUserMessage {
            content: ChatCompletionRequestUserMessageContent::Array(message.parts.iter().map(part).collect()),
            name: None,
        }),
        Role::Assistant if message.calls.is_empty() => {
            ChatCompletionRequestMessage::Assistant(ChatCompletionRequestAssistantMessage::from(text))
        }
        Role::Assistant => {
            let said = ChatCompletionRequestAssistantMessageContent::Text(text.to_owned());
            ChatCompletionRequestMessage::Assistant(ChatCompletionRequestAssistantMessage {
                content: (!text.is_empty()).then_some(said),
                tool_calls: Some(message.calls.iter().map(call).collect()),
                ..ChatCompletionRequestAssistantMessage::default()
            })
        }
        Role::Tool => ChatCompletionRequestMessage::Tool(ChatCompletionRequestToolMessage {
            content: ChatCompletionRequestToolMessageContent::Text(text.to_owned()),
            tool_call_id: message.answers.clone().unwrap_or_default(),
        }),
    }
}

fn part(part: &Part) -> ChatCompletionRequestUserMessageContentPart {
    match part {
        Part::Text(text) => {
            let text = text.reveal(Reply).clone();
            ChatCompletionRequestUserMessageContentPart::Text(ChatCompletionRequestMessageContentPartText {
                text,
                prompt_cache_breakpoint: None,
            })
        }
        Part::Image { mime, bytes } => {
            let mut url = format!("data:{mime};base64,");
            STANDARD.encode_string(bytes, &mut url);
            ChatCompletionRequestUserMessageContentPart::ImageUrl(
                ChatCompletionRequestMessageContentPartImage {
                    image_url: ImageUrl { url, detail: None },
                    prompt_cache_breakpoint: None,
                },
            )
        }
    }
}

fn call(call: &ToolCall) -> ChatCompletionMessageToolCalls {
    ChatCompletionMessageToolCalls::Function(ChatCompletionMessageToolCall {
        id: call.id.clone(),
        function: FunctionCall { name: call.name.clone(), arguments: call.arguments.reveal(Reply).clone() },
    })
}

fn tool(tool: &ToolSpec) -> ChatCompletionTools {
    ChatCompletionTools::Function(ChatCompletionTool {
        function: FunctionObject {
            name: tool.name.clone(),
            description: Some(tool.description.clone()),
            parameters: Some(tool.parameters.clone()),
            strict: None,
        },
    })
}
